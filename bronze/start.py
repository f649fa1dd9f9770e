"""Where the stream starts: after the last row of bronze, and only on the topic that bronze was read from."""

from __future__ import annotations

import structlog

from lakehouse import kafka
from lakehouse.errors import TopicChanged
from lakehouse.kafka import Bounds
from lakehouse.lake import Lake
from lakehouse.progress import BronzeProgress, Partition
from lakehouse.settings import Settings
from lakehouse.tables.bronze import RAW_LOGS, TOPIC_ID

log = structlog.get_logger()


def starting_offsets(settings: Settings, progress: BronzeProgress) -> dict[Partition, int]:
    """Return the first offset to read of each partition: after bronze's last row, or the broker's beginning.

    Raises:
        TopicChanged: The broker has deleted records that bronze lacks, or has fewer records than bronze.
    """
    bounds = kafka.partition_bounds(settings)
    return {at: starting_offset(at, progress.offsets.get(at), bounds=bound) for at, bound in bounds.items()}


def check_topic_id(lake: Lake) -> str:
    """Record the broker's topic id on first use, check it on every later run, and return it.

    Raises:
        TopicChanged: The topic was recreated: the offsets of the two topics would be confused.
    """
    name = f"{TOPIC_ID}{lake.settings.topic}"
    recorded = lake.table_property(RAW_LOGS, name)
    if recorded is None:
        recorded = kafka.topic_id(lake.settings)
        lake.set_property(RAW_LOGS, name=name, value=recorded)
    else:
        kafka.require_topic_id(lake.settings, recorded)
    return recorded


def starting_offset(at: Partition, read: int | None, *, bounds: Bounds) -> int:
    """Return the offset at which to start reading a partition.

    Args:
        at: The topic and the partition.
        read: The next offset by bronze's rows; None if bronze has none of this partition.
        bounds: The offsets that the broker has.

    Raises:
        TopicChanged: The broker has deleted records that bronze lacks, or has fewer records than bronze.
    """
    topic, partition = at
    if read is None:
        if bounds.beginning > 0:
            log.warning("partition_start_truncated", topic=topic, partition=partition, offset=bounds.beginning)
        return bounds.beginning
    if read < bounds.beginning:
        raise TopicChanged(
            f"Kafka has deleted offsets {read} to {bounds.beginning - 1} of {topic}:{partition} that bronze lacks",
            hint="They are lost: lengthen the topic's retention, and start a new lake with LOGINLAKE_ROOT",
            topic=topic,
            partition=partition,
            lost=(read, bounds.beginning),
        )
    if read > bounds.end:
        raise TopicChanged(
            f"Kafka's {topic}:{partition} ends at offset {bounds.end}, but bronze has read up to {read}",
            hint="The broker has lost records: restore its data, or start a new lake with LOGINLAKE_ROOT",
            topic=topic,
            partition=partition,
        )
    return read
