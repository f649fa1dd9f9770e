"""Redriving: broken rows of silver go once more through the decoders of today, and the winners are settled anew."""

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
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.silver import EVENTS
from silver.decode import POSITION, DecodeRules
from silver.job import IDENTITY, decoded_events, with_duplicates

log = structlog.get_logger()

# What may become of a row that is taken again; all else of it follows from its bytes.
SETTLED = ("verdict", "reason", "detail", "winner_topic", "winner_partition", "winner_offset")


@dataclass(frozen=True)
class Redriven:
    """What a redrive found.

    Attributes:
        taken: Broken rows that were taken again.
        mended: Those that are broken no more, by what they are now.
        broken: Those that still are, by reason.
        resettled: Accepted rows and duplicates that are otherwise now, since a mended row is a copy of theirs.
        written: Rows that differ from what silver had.
    """

    taken: int
    mended: dict[str, int]
    broken: dict[str, int]
    resettled: int
    written: int

    def to_dict(self) -> dict[str, Any]:
        """What was found, for JSON."""
        return asdict(self)


def redrive_events(lake: Lake, *, reason: str | None = None) -> Redriven:
    """Writes what the broken rows are by the decoders of today, in one commit; for a holder of the lock of refresh.

    Args:
        lake: Where silver and bronze lie; its settings say what is plausible.
        reason: Only rows that are broken for this reason; None takes all.
    """
    lake.ensure(RAW_LOGS)
    lake.ensure(EVENTS)
    rows = taken_again(lake, reason)
    found = redriven(rows)
    if found.written:
        changed = rows.where("is_changed")
        lying_in = sorted(changed.select("was_verdict", "was_event_on").distinct().collect())
        lake.replace_rows(EVENTS, changed, lying_in=lying_in)
    log.info("events_redriven", table=EVENTS.full_name, taken=found.taken, rows=found.written)
    return found


def preview(lake: Lake, *, reason: str | None = None) -> Redriven:
    """What `redrive_events` would do; nothing is written.

    Raises:
        TableMissing: The lake has no silver yet.
    """
    if not (lake.exists(RAW_LOGS) and lake.exists(EVENTS)):
        raise TableMissing(f"{EVENTS.full_name} has no rows yet", hint="Run `loginlake bronze` and `loginlake refresh`")
    return redriven(taken_again(lake, reason))


def taken_again(lake: Lake, reason: str | None) -> DataFrame:
    """The broken rows by the decoders of today, with the copies of events that they turn out to be, as all are now.

    Beside the columns of silver each has what it was: `was_verdict`, `was_event_on`, and whether `is_changed`.
    """
    events = lake.read(EVENTS, version=lake.version(EVENTS))
    broken = events.where(F.col("verdict") == "broken")
    broken = broken if reason is None else broken.where(F.col("reason") == reason)
    decoded = decoded_events(records_of(lake, broken), DecodeRules.from_settings(lake.settings)).persist()
    copies = copies_of(decoded.where(F.col("verdict") == "accepted"), events).persist()
    try:
        return compared(settled(decoded, copies), broken.unionByName(copies)).localCheckpoint()
    finally:
        copies.unpersist()
        decoded.unpersist()


def records_of(lake: Lake, events: DataFrame) -> DataFrame:
    """The bronze rows that silver rows were made of, by position."""
    days = [day for (day,) in events.select(F.to_date("ingested_at")).distinct().collect()]
    records = lake.read(RAW_LOGS).where(F.col("ingested_on").isin(days))
    return records.join(events.select(*POSITION), list(POSITION), "left_semi")


def copies_of(mended: DataFrame, events: DataFrame) -> DataFrame:
    """The accepted rows and duplicates with the identity of a row that decodes now."""
    days = [day for (day,) in mended.select("event_on").distinct().collect()]
    known = events.where(F.col("verdict").isin("accepted", "duplicate") & F.col("event_on").isin(days))
    return known.join(mended.select(*IDENTITY), list(IDENTITY), "left_semi")


def settled(decoded: DataFrame, copies: DataFrame) -> DataFrame:
    """All of them with the winners that they have together."""
    candidates = decoded.unionByName(copies.withColumn("verdict", F.lit("accepted")))
    return with_duplicates(candidates, accepted=candidates.limit(0))


def compared(rows: DataFrame, before: DataFrame) -> DataFrame:
    """The rows, each with what it was before."""
    named = before.select(*POSITION, *(F.col(name).alias(f"was_{name}") for name in ("event_on", *SETTLED)))
    differs = reduce(or_, (~F.col(name).eqNullSafe(F.col(f"was_{name}")) for name in SETTLED))
    beside = rows.join(named, list(POSITION)).withColumn("is_changed", differs)
    return beside.select(*EVENTS.column_names, "was_verdict", "was_event_on", "is_changed")


def redriven(rows: DataFrame) -> Redriven:
    """How many rows became what."""
    counted = rows.groupBy("was_verdict", "verdict", "reason", "is_changed").count().collect()
    mended: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    resettled = written = 0
    for was, verdict, reason, is_changed, count in counted:
        written += count * is_changed
        if was != "broken":
            resettled += count * is_changed
        elif verdict == "broken":
            broken[reason] += count
        else:
            mended[verdict] += count
    taken = mended.total() + broken.total()
    return Redriven(taken, dict(sorted(mended.items())), dict(sorted(broken.items())), resettled, written)
