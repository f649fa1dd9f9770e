"""What the layers share: declarations, settings, errors, logs, Spark, snapshots."""
