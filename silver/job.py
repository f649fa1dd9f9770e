"""The silver job: decode the bronze rows that silver lacks, mark duplicates, and append all of them in one commit."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import structlog
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from lakehouse.lake import Lake
from lakehouse.locks import writer_lock
from lakehouse.progress import (
    SilverProgress,
    furthest,
    is_below,
    noted_bronze_progress,
    read_silver_progress,
    summarize_events,
)
from lakehouse.schema import struct_type
from lakehouse.steps import step
from lakehouse.tables.bronze import POSITION, RAW_LOGS
from lakehouse.tables.silver import EVENTS, IDENTITY, WINNER
from silver.decode import DecodeRules, decode
from silver.enrich import enrichment_versions

if TYPE_CHECKING:
    import pyarrow as pa

log = structlog.get_logger()

# Up to this many duplicates are broadcast to every task; more are joined by a shuffle of the wide rows.
BROADCAST_ROWS = 1_000_000


def update_silver(lake: Lake) -> int:
    """Append one silver row for every bronze row that silver lacks, in one commit.

    Returns:
        The number of appended rows; 0 means that nothing was written.

    Raises:
        LockHeld: Another job writes silver or gold.
    """
    with writer_lock(lake, "refresh"):
        return append_events(lake)


@step("Decoding new records")
def append_events(lake: Lake) -> int:
    """Do what `update_silver` does, for a caller that holds the lock of refresh."""
    lake.ensure(EVENTS)
    if not lake.exists(RAW_LOGS):
        return 0
    lake.check_schema(RAW_LOGS)
    before = read_silver_progress(lake)
    if not may_have_unread(lake, before):
        return 0
    decoded = decoded_events(unread_records(lake, before), DecodeRules.from_settings(lake.settings)).persist()
    try:
        batch = summarize_events(decoded)
        if batch.rows == 0:
            return 0
        accepted = lake.read(EVENTS).where(F.col("verdict") == "accepted").where(F.col("event_on").isin(batch.days))
        offsets = furthest(before.offsets, batch.progress.offsets)
        after = SilverProgress(offsets, batch.progress.ingested_on, enrichment_versions())
        lake.append(EVENTS, with_duplicates(lake, decoded, accepted=accepted), user_metadata=after.to_json())
    finally:
        decoded.unpersist()
    log.info("batch_written", table=EVENTS.full_name, rows=batch.rows)
    return batch.rows


def may_have_unread(lake: Lake, read: SilverProgress) -> bool:
    """Return False if the notes of bronze show that silver has read all of it.

    True does not mean that there are unread rows: bronze may have no note, or have read offsets without a record.
    """
    noted = noted_bronze_progress(lake)
    return noted is None or any(offset > read.offsets.get(at, 0) for at, offset in noted.offsets.items())


def unread_records(lake: Lake, read: SilverProgress) -> DataFrame:
    """Return the bronze rows that silver has not read, at bronze's newest version."""
    records = lake.read(RAW_LOGS, version=lake.version(RAW_LOGS))
    if read.ingested_on is not None:
        records = records.where(F.col("ingested_on") >= F.lit(read.ingested_on))
    return records.where(~is_below(read.offsets, F.col))


def decoded_events(records: DataFrame, rules: DecodeRules) -> DataFrame:
    """Return one silver row per bronze row, by `silver.decode`; no row is a duplicate yet."""
    columns = records.select("value", "headers", *POSITION, "appended_at", "ingested_at")
    return columns.mapInArrow(_decoder(rules), struct_type(EVENTS))


def with_duplicates(lake: Lake, decoded: DataFrame, *, accepted: DataFrame) -> DataFrame:
    """Return the decoded rows with every later copy of an event marked as a duplicate of its winner.

    The winner is the copy with the least (ingest time, topic, partition, offset).

    Args:
        lake: The lake, which stores what is computed once.
        decoded: New rows.
        accepted: The accepted rows that silver has on the event days in `decoded`.
    """
    # A checkpoint, not persist(): Spark would compute persisted rows again after the write to silver, which they read.
    losers = lake.checkpoint(losing_copies(decoded.where(F.col("verdict") == "accepted"), accepted))
    is_small = losers.count() <= BROADCAST_ROWS
    marked = decoded.drop(*WINNER).join(F.broadcast(losers) if is_small else losers, list(POSITION), "left")
    is_loser = F.col("winner_topic").isNotNull()
    return marked.withColumn("verdict", F.when(is_loser, "duplicate").otherwise(F.col("verdict")))


def losing_copies(candidates: DataFrame, accepted: DataFrame) -> DataFrame:
    """Return the positions of the candidates that are not winners, each with the position of its winner."""
    arrival = F.struct("ingested_at", *POSITION).alias("arrival")
    new, known = candidates.select(*IDENTITY, arrival), accepted.select(*IDENTITY, arrival)
    # Only ids whose hash occurs twice are compared: counting hashes is cheap, minima of structs are not. If two
    # different ids share a hash, each of them wins alone.
    identity = F.xxhash64(*IDENTITY)
    repeated = new.groupBy(identity.alias("hash")).count().where(F.col("count") > 1)
    contested = new.join(repeated, identity == F.col("hash"), "left_semi").unionByName(
        known.join(new, list(IDENTITY), "left_semi")
    )
    winners = contested.groupBy(*IDENTITY).agg(F.min("arrival").alias("winner"))
    losers = new.join(winners, list(IDENTITY)).where(F.col("arrival") != F.col("winner"))
    return losers.select(
        *(F.col(f"arrival.{name}").alias(name) for name in POSITION),
        *(F.col(f"winner.{name}").alias(column) for name, column in zip(POSITION, WINNER, strict=True)),
    )


def _decoder(rules: DecodeRules) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def decode_all(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        # Decoding makes no reference cycles; searching all its rows for some takes a quarter of its time.
        gc.disable()
        try:
            for records in batches:
                yield decode(records, rules)
        finally:
            gc.enable()

    return decode_all
