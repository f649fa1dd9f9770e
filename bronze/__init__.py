"""Bronze: stores the records of Kafka in the lake, unparsed."""
