"""Silver: every bronze row read once, with a verdict."""
