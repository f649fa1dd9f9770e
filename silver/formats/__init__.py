"""The log formats: one decoder for each."""
