"""Gold: the base, the metrics, the detections, the snapshots."""
