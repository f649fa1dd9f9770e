"""Where the stream starts: after bronze's own rows, on the topic that they came from, or not at all."""

from __future__ import annotations

import structlog
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from lakehouse import kafka
from lakehouse.errors import TopicChanged
from lakehouse.extent import Extent, read_noted_extent
from lakehouse.kafka import Bounds
from lakehouse.lake import Lake
from lakehouse.offsets import Partition
from lakehouse.settings import Settings
from lakehouse.tables.bronze import RAW_LOGS, TOPIC_ID

log = structlog.get_logger()


def read_extent(lake: Lake) -> Extent:
    """How far bronze has read: from its newest commit with rows where that says so, else from all its rows."""
    return read_noted_extent(lake) or extent_of_rows(lake)


def extent_of_rows(lake: Lake) -> Extent:
    """How far bronze has read, by its own rows."""
    largest = lake.read(RAW_LOGS).groupBy("topic", "partition").agg(F.max("offset"), F.max("ingested_at"))
    spans = [tuple(span.values()) for span in largest.toArrow().to_pylist()]
    return Extent(
        offsets={(topic, partition): offset + 1 for topic, partition, offset, _ in spans},
        last_ingest=max((ingested_at for *_, ingested_at in spans), default=None),
    )


def starting_offsets(settings: Settings, extent: Extent) -> dict[Partition, int]:
    """Where to go on in each partition: after bronze's last row, or where the broker's records begin.

    Raises:
        TopicChanged: The broker has dropped records that bronze lacks, or holds fewer than bronze has.
    """
    bounds = kafka.partition_bounds(settings)
    return {at: _checked_start(at, extent.offsets.get(at), bounds=bound) for at, bound in bounds.items()}


def hold_topic_id(lake: Lake) -> str:
    """Notes the broker's id of the topic at first sight, holds it against the noted one ever after, and gives it.

    Raises:
        TopicChanged: The topic was recreated: offsets of the two would be confused.
    """
    name = f"{TOPIC_ID}{lake.settings.topic}"
    noted = lake.table_property(RAW_LOGS, name)
    if noted is None:
        noted = kafka.topic_id(lake.settings)
        lake.set_property(RAW_LOGS, name=name, value=noted)
    else:
        refuse_other_topic(lake.settings, noted)
    return noted


def refuse_other_topic(settings: Settings, noted: str) -> None:
    """Holds the broker's topic to be the one with that id.

    Raises:
        TopicChanged: It has another id.
        BrokerFailed: The broker does not answer, or no longer has the topic.
    """
    current = kafka.topic_id(settings)
    if noted != current:
        raise TopicChanged(
            f"Topic {settings.topic!r} has id {current}, but bronze was read from the one with id {noted}",
            hint="Point LOGINLAKE_KAFKA at the broker of this lake, or start a new lake with LOGINLAKE_ROOT",
            noted=noted,
            current=current,
        )


def _checked_start(at: Partition, read: int | None, *, bounds: Bounds) -> int:
    topic, partition = at
    if read is None:
        if bounds.beginning > 0:
            log.warning("partition_start_truncated", topic=topic, partition=partition, offset=bounds.beginning)
        return bounds.beginning
    if read < bounds.beginning:
        raise TopicChanged(
            f"Kafka has dropped offsets {read} to {bounds.beginning - 1} of {topic}:{partition} that bronze lacks",
            hint="They are lost: lengthen the topic's retention, and start a new lake with LOGINLAKE_ROOT",
            topic=topic,
            partition=partition,
            lost=(read, bounds.beginning),
        )
    if read > bounds.end:
        raise TopicChanged(
            f"Kafka's {topic}:{partition} ends at {bounds.end}, but bronze has read up to {read}",
            hint="The broker has lost records: restore its data, or start a new lake with LOGINLAKE_ROOT",
            topic=topic,
            partition=partition,
        )
    return read
