"""Pure functions on frames: metrics and rules."""
