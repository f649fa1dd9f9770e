"""Pure functions from frame to frame, for Spark and polars alike."""
