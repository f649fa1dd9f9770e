"""Gold: activity per user, address and app, detections, restatements and the published snapshots."""
