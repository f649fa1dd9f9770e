"""Bronze: Kafka records into the lake, as they are."""
