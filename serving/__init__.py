"""Serving: the lake over REST and for the read commands, without Spark."""
