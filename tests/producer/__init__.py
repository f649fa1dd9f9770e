"""The producer, through what it sends."""
