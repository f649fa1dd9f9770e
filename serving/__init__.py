"""Serving: the lake over REST and to the read verbs, without Spark."""
