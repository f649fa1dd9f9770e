"""Redrive: decode the broken rows of silver again with today's decoders, and decide again which copies win."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from functools import reduce
from operator import or_
from typing import Any

import structlog
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from lakehouse.errors import TableMissing
from lakehouse.lake import Lake
from lakehouse.steps import step
from lakehouse.tables.bronze import POSITION, RAW_LOGS
from lakehouse.tables.silver import EVENTS, IDENTITY, WINNER
from silver.decode import DecodeRules
from silver.job import decoded_events, with_duplicates

log = structlog.get_logger()

# The columns that can differ after a redrive of a row that was broken or is a copy; all others follow from its bytes.
DECIDED = ("verdict", "reason", "detail", *WINNER)


@dataclass(frozen=True)
class Redriven:
    """The result of a redrive, as numbers of rows.

    Attributes:
        attempted: Broken rows that were decoded again.
        decoded: Number of rows that are no longer broken, by their new verdict.
        still_broken: Number of rows that are still broken, by reason.
        reassigned: Accepted rows and duplicates that changed, since a row that decodes now is a copy of the same event.
        written: Rows that differ from what silver had.
    """

    attempted: int
    decoded: dict[str, int]
    still_broken: dict[str, int]
    reassigned: int
    written: int

    def to_dict(self) -> dict[str, Any]:
        """Return the result for JSON."""
        return asdict(self)


@step("Decoding broken rows")
def redrive_events(lake: Lake, *, reason: str | None = None) -> Redriven:
    """Decode broken rows again and write what changed, in one commit; the caller holds the refresh lock.

    Args:
        lake: The lake; its settings are those of decoding.
        reason: Decode only rows that are broken for this reason; None decodes all.

    """
    lake.ensure(EVENTS)
    if not lake.exists(RAW_LOGS):
        return Redriven(0, {}, {}, reassigned=0, written=0)
    rows = redriven_rows(lake, reason)
    result = count_redriven(rows)
    if result.written:
        changed = rows.where("is_changed")
        partitions = sorted(changed.select("was_verdict", "was_event_on").distinct().collect())
        lake.update_rows(EVENTS, changed, partitions=partitions)
    log.info("events_redriven", table=EVENTS.full_name, attempted=result.attempted, rows=result.written)
    return result


@step("Decoding broken rows")
def preview_redrive(lake: Lake, *, reason: str | None = None) -> Redriven:
    """Return the result that `redrive_events` would have; nothing is written.

    Raises:
        TableMissing: The lake has no bronze or no silver yet.
    """
    if not (lake.exists(RAW_LOGS) and lake.exists(EVENTS)):
        raise TableMissing(f"{EVENTS.full_name} has no rows yet", hint="Run `loginlake bronze` and `loginlake refresh`")
    return count_redriven(redriven_rows(lake, reason))


def redriven_rows(lake: Lake, reason: str | None) -> DataFrame:
    """Return the broken rows as they decode today, and the known copies of the events that now decode.

    The rows have the columns of silver, and `was_verdict`, `was_event_on` and `is_changed`.
    """
    events = lake.read(EVENTS, version=lake.version(EVENTS))
    broken = events.where(F.col("verdict") == "broken")
    broken = broken if reason is None else broken.where(F.col("reason") == reason)
    decoded = decoded_events(records_of(lake, broken), DecodeRules.from_settings(lake.settings)).persist()
    copies = copies_of(decoded.where(F.col("verdict") == "accepted"), events).persist()
    try:
        return lake.checkpoint(with_changes(with_winners(lake, decoded, copies=copies), broken.unionByName(copies)))
    finally:
        copies.unpersist()
        decoded.unpersist()


def records_of(lake: Lake, events: DataFrame) -> DataFrame:
    """Return the bronze rows of silver rows, by position."""
    days = [day for (day,) in events.select(F.to_date("ingested_at")).distinct().collect()]
    records = lake.read(RAW_LOGS).where(F.col("ingested_on").isin(days))
    return records.join(events.select(*POSITION), list(POSITION), "left_semi")


def copies_of(accepted: DataFrame, events: DataFrame) -> DataFrame:
    """Return the accepted rows and duplicates of silver that have the identity of a newly accepted row."""
    days = [day for (day,) in accepted.select("event_on").distinct().collect()]
    known = events.where(F.col("verdict").isin("accepted", "duplicate") & F.col("event_on").isin(days))
    return known.join(accepted.select(*IDENTITY), list(IDENTITY), "left_semi")


def with_winners(lake: Lake, decoded: DataFrame, *, copies: DataFrame) -> DataFrame:
    """Return both sets of rows, with the winner among the copies of each event."""
    candidates = decoded.unionByName(copies.withColumn("verdict", F.lit("accepted")))
    return with_duplicates(lake, candidates, accepted=candidates.limit(0))


def with_changes(rows: DataFrame, before: DataFrame) -> DataFrame:
    """Return the rows with `was_verdict`, `was_event_on` and `is_changed` from the same rows before."""
    columns = (F.col(name).alias(f"was_{name}") for name in ("event_on", *DECIDED))
    is_changed = reduce(or_, (~F.col(name).eqNullSafe(F.col(f"was_{name}")) for name in DECIDED))
    joined = rows.join(before.select(*POSITION, *columns), list(POSITION)).withColumn("is_changed", is_changed)
    return joined.select(*EVENTS.column_names, "was_verdict", "was_event_on", "is_changed")


def count_redriven(rows: DataFrame) -> Redriven:
    """Return how many rows became what."""
    groups = rows.groupBy("was_verdict", "verdict", "reason", "is_changed").count().collect()
    decoded: Counter[str] = Counter()
    still_broken: Counter[str] = Counter()
    reassigned = written = 0
    for was, verdict, reason, is_changed, count in groups:
        written += count * is_changed
        if was != "broken":
            reassigned += count * is_changed
        elif verdict == "broken":
            still_broken[reason] += count
        else:
            decoded[verdict] += count
    return Redriven(
        attempted=decoded.total() + still_broken.total(),
        decoded=dict(sorted(decoded.items())),
        still_broken=dict(sorted(still_broken.items())),
        reassigned=reassigned,
        written=written,
    )
