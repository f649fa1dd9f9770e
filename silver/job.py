"""The silver job: what bronze has and silver lacks is decoded, deduplicated and appended in one commit."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import structlog
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from lakehouse.extent import read_noted_extent
from lakehouse.lake import Lake, is_below, struct_type
from lakehouse.locks import writer_lock
from lakehouse.offsets import furthest
from lakehouse.progress import Progress, extent_of, read_progress
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.silver import EVENTS
from silver.decode import DecodeRules, decode
from silver.enrich import enrichment_versions

if TYPE_CHECKING:
    import pyarrow as pa

log = structlog.get_logger()

POSITION = ("topic", "partition", "offset")
IDENTITY = ("event_on", "event_id")
# Duplicates up to this many are sent to every task instead of shuffling the wide rows.
BROADCAST_ROWS = 1_000_000


def refine(lake: Lake) -> int:
    """Appends one silver row for every bronze row that silver lacks; all of them in one commit.

    Returns:
        How many rows were appended; 0 means that nothing was written.

    Raises:
        LockHeld: Another job writes silver or gold.
    """
    with writer_lock(lake, "refresh"):
        return append_events(lake)


def append_events(lake: Lake) -> int:
    """What `refine` does, for a caller that holds the lock of refresh."""
    lake.ensure(RAW_LOGS)
    lake.ensure(EVENTS)
    before = read_progress(lake)
    if not may_have_unread(lake, before):
        return 0
    decoded = decoded_events(unread_records(lake, before), DecodeRules.from_settings(lake.settings)).persist()
    try:
        extent = extent_of(decoded)
        if extent.rows == 0:
            return 0
        accepted = lake.read(EVENTS).where(F.col("verdict") == "accepted").where(F.col("event_on").isin(extent.days))
        events = with_duplicates(decoded, accepted)
        after = Progress(furthest(before.offsets, extent.offsets), extent.ingested_on, enrichment_versions())
        lake.append(EVENTS, events, user_metadata=after.to_json())
    finally:
        decoded.unpersist()
    log.info("batch_written", table=EVENTS.full_name, rows=extent.rows)
    return extent.rows


def may_have_unread(lake: Lake, read: Progress) -> bool:
    """False where bronze notes that it has come no further.

    Where it notes nothing, or an end in Kafka beyond its last row, only the rows can tell.
    """
    noted = read_noted_extent(lake)
    return noted is None or any(offset > read.offsets.get(at, 0) for at, offset in noted.offsets.items())


def unread_records(lake: Lake, read: Progress) -> DataFrame:
    """Bronze rows that silver has not read, at bronze's version of now."""
    records = lake.read(RAW_LOGS, version=lake.version(RAW_LOGS))
    if read.ingested_on is not None:
        records = records.where(F.col("ingested_on") >= F.lit(read.ingested_on))
    return records.where(~is_below(read.offsets))


def decoded_events(records: DataFrame, rules: DecodeRules) -> DataFrame:
    """One silver row per bronze row, by `silver.decode`; duplicates are not settled yet."""
    columns = records.select("value", "headers", *POSITION, "appended_at", "ingested_at")
    return columns.mapInArrow(_decoder(rules), struct_type(EVENTS))


def with_duplicates(decoded: DataFrame, accepted: DataFrame) -> DataFrame:
    """The decoded rows, where every later copy of an event has become a duplicate of its winner.

    The winner is the copy with the least (ingest time, topic, partition, offset).

    Args:
        decoded: New rows.
        accepted: Accepted rows that silver has, of all event days in `decoded`.
    """
    # Not kept by persist(): Spark would plan it anew once silver, which it reads, is written.
    losers = losing_copies(decoded.where(F.col("verdict") == "accepted"), accepted).localCheckpoint()
    few = losers.count() <= BROADCAST_ROWS
    settled = decoded.drop("winner_topic", "winner_partition", "winner_offset").join(
        F.broadcast(losers) if few else losers, list(POSITION), "left"
    )
    lost = F.col("winner_topic").isNotNull()
    return settled.withColumn("verdict", F.when(lost, "duplicate").otherwise(F.col("verdict")))


def losing_copies(candidates: DataFrame, accepted: DataFrame) -> DataFrame:
    """Positions of candidates that are no winner, each with the position of its winner."""
    arrival = F.struct("ingested_at", *POSITION).alias("arrival")
    new, known = candidates.select(*IDENTITY, arrival), accepted.select(*IDENTITY, arrival)
    # Only ids whose hash occurs twice are settled: to count hashes is cheap, to take minima of structs is not. Where
    # two ids share a hash, each wins alone.
    identity = F.xxhash64(*IDENTITY)
    repeated = new.groupBy(identity.alias("hash")).count().where(F.col("count") > 1)
    contested = new.join(repeated, identity == F.col("hash"), "left_semi").unionByName(
        known.join(new, list(IDENTITY), "left_semi")
    )
    winners = contested.groupBy(*IDENTITY).agg(F.min("arrival").alias("winner"))
    lost = new.join(winners, list(IDENTITY)).where(F.col("arrival") != F.col("winner"))
    return lost.select(
        *(F.col(f"arrival.{name}").alias(name) for name in POSITION),
        *(F.col(f"winner.{name}").alias(f"winner_{name}") for name in POSITION),
    )


def _decoder(rules: DecodeRules) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def decode_all(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        # Decoding makes no cycles; to look for them in all its rows takes a quarter of its time.
        gc.disable()
        try:
            for records in batches:
                yield decode(records, rules)
        finally:
            gc.enable()

    return decode_all
