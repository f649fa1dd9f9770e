"""The bronze layer: what Kafka gave, nothing parsed, nothing dropped."""

from __future__ import annotations

from lakehouse.tables.model import Column, Table

# Properties of bronze.raw_logs begin so that note the id of a topic, whose name follows.
TOPIC_ID = "loginlake.topicId."

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
    key=("topic", "partition", "offset"),
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
    properties={
        "delta.appendOnly": "true",
        "delta.enableExpiredLogCleanup": "true",
        "delta.logRetentionDuration": "interval 2 days",
        "delta.deletedFileRetentionDuration": "interval 2 days",
        "delta.dataSkippingStatsColumns": "topic,partition,offset,ingested_at",
    },
)
