"""The producer: generated and replayed login events into Kafka."""
