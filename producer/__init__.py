"""Send generated or replayed login events to Kafka."""
