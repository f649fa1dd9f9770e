"""The bronze layer: the records of Kafka, unparsed and complete."""

from __future__ import annotations

from lakehouse.tables.model import Column, Table

# Prefix of the table properties that record a topic's id; the topic name follows.
TOPIC_ID = "loginlake.topicId."

# The columns that name a Kafka record, and so a row of bronze and of silver.
POSITION = ("topic", "partition", "offset")

HEADERS_TYPE = {
    "type": "array",
    "containsNull": True,
    "elementType": {
        "type": "struct",
        "fields": [
            {"name": "key", "type": "string", "nullable": True, "metadata": {}},
            {"name": "value", "type": "binary", "nullable": True, "metadata": {}},
        ],
    },
}

RAW_LOGS = Table(
    layer="bronze",
    name="raw_logs",
    grain="one row per Kafka record",
    key=POSITION,
    partition_by=("ingested_on",),
    columns=(
        Column("key", "binary", "The record's key as Kafka keeps it."),
        Column("value", "binary", "The record's bytes as Kafka keeps them."),
        Column("headers", HEADERS_TYPE, "The record's headers in their order."),
        Column("topic", "string", "Kafka topic."),
        Column("partition", "integer", "Partition of the topic."),
        Column("offset", "long", "Offset in the partition."),
        Column("appended_at", "timestamp", "The record's Kafka timestamp: append time on topics that we create."),
        Column(
            "timestamp_type", "integer", "0: set by the producer (create time), 1: set by the broker (append time)."
        ),
        Column("ingested_at", "timestamp", "When its batch reached bronze; each batch is later than the last."),
        Column("ingested_on", "date", "UTC day of ingested_at."),
    ),
    shown=("topic", "partition", "offset", "appended_at", "value"),
    properties={
        "delta.appendOnly": "true",
        "delta.enableExpiredLogCleanup": "true",
        "delta.logRetentionDuration": "interval 2 days",
        "delta.deletedFileRetentionDuration": "interval 2 days",
        "delta.dataSkippingStatsColumns": "topic,partition,offset,ingested_at",
    },
)
