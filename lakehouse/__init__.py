"""Code that the layers share: table declarations, settings, errors, logs, Spark, progress, snapshots."""
