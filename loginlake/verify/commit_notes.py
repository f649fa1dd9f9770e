"""What the newest commits of bronze and silver record of their progress, compared with their rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import polars as pl

from lakehouse.progress import BronzeProgress, Offsets, Partition, SilverProgress, newest_note
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.silver import EVENTS
from loginlake.verify.bronze_to_silver import REBUILD_SILVER
from loginlake.verify.pinned import PinnedLake
from loginlake.verify.report import Check, check
from serving.store import collected

RESTORE_COMMIT = (
    "Restore bronze's last commits from a copy of the lake; otherwise bronze reads these records a second time"
)
NOT_RECORDED = "the commit does not record it, so it is computed from the rows"


def bronze_progress_checks(lake: PinnedLake) -> Iterator[Check]:
    """Compare what bronze's newest commit records with its rows."""
    progress, positions = lake.bronze_progress, lake.bronze_positions
    yield bronze_offsets_check(progress, positions)
    if progress is not None and positions.height:
        last = collected(lake.records().select(pl.col("ingested_at").max()), RAW_LOGS).item()
        yield ingest_time_check(progress, last)


def bronze_offsets_check(progress: BronzeProgress | None, bronze: pl.DataFrame) -> Check:
    """Check that the recorded next offsets are past bronze's rows; they may be higher, since offsets may lack a record.

    Args:
        progress: What bronze's newest commit with rows records; None if it records nothing.
        bronze: Positions of bronze.
    """
    claim = "the next offsets that bronze's newest commit records are past its rows"
    if progress is None:
        return check(claim, (), checked=0, hint="", notes=[NOT_RECORDED])
    lasts = bronze.group_by("topic", "partition").agg(pl.col("offset").max()).sort("topic", "partition")
    faults = (
        f"{topic}:{partition} the commit records {progress.offsets.get((topic, partition))}, bronze has {last}"
        for topic, partition, last in lasts.iter_rows()
        if progress.offsets.get((topic, partition), 0) <= last
    )
    return check(claim, faults, checked=lasts.height, hint=RESTORE_COMMIT)


def ingest_time_check(progress: BronzeProgress, last_ingest: datetime | None) -> Check:
    """Check that the recorded ingest time is not before bronze's last row: the first of two copies to arrive wins.

    Args:
        progress: What bronze's newest commit with rows records.
        last_ingest: The largest ingest time of its rows, UTC; None if it has no rows.
    """
    recorded = progress.last_ingest
    is_earlier = last_ingest is not None and (recorded is None or recorded < last_ingest)
    faults = [f"the commit records {recorded}, bronze has {last_ingest}"] if is_earlier else []
    claim = "the ingest time that bronze's newest commit records is not before its last row"
    return check(claim, faults, checked=1, hint=RESTORE_COMMIT)


def silver_progress_checks(lake: PinnedLake) -> Iterator[Check]:
    """Compare what silver's newest commit records with its rows."""
    if EVENTS.full_name in lake.versions and EVENTS.full_name in lake.logs:
        note = newest_note(lake.commits(EVENTS))
        recorded = note.silver_progress if note else None
        yield _silver_offsets_check(recorded, lake.events())
        yield _ingest_day_check(recorded, lake.events())


def _silver_offsets_check(recorded: SilverProgress | None, events: pl.LazyFrame) -> Check:
    claim = "the next offsets that silver's newest commit records are those of its rows"
    if recorded is None:
        return check(claim, (), checked=0, hint=REBUILD_SILVER, notes=[NOT_RECORDED])
    return offsets_check(claim, recorded.offsets, events=events, recorded_by="the commit", hint=REBUILD_SILVER)


def _ingest_day_check(recorded: SilverProgress | None, events: pl.LazyFrame) -> Check:
    """Check the recorded ingest day: the next run looks for unread rows from that day on."""
    claim = "the ingest day that silver's newest commit records is that of its rows"
    if recorded is None:
        return check(claim, (), checked=0, hint=REBUILD_SILVER, notes=[NOT_RECORDED])
    live = collected(events.select(pl.col("ingested_at").max().dt.date()), EVENTS).item()
    faults = [] if recorded.ingested_on == live else [f"the commit records {recorded.ingested_on}, silver has {live}"]
    return check(claim, faults, checked=1, hint=REBUILD_SILVER)


def offsets_check(claim: str, recorded: Offsets, *, events: pl.LazyFrame, recorded_by: str, hint: str) -> Check:
    """Check that recorded next offsets are those of silver rows."""
    live = next_offsets(events)
    faults = (
        f"{topic}:{partition} {recorded_by} records {recorded.get((topic, partition))}, "
        f"silver has {live.get((topic, partition))}"
        for topic, partition in sorted({*recorded, *live})
        if recorded.get((topic, partition)) != live.get((topic, partition))
    )
    return check(claim, faults, checked=len({*recorded, *live}), hint=hint)


def next_offsets(events: pl.LazyFrame) -> dict[Partition, int]:
    """Return the largest offset plus one of each partition of silver."""
    ends = collected(events.group_by("topic", "partition").agg(pl.col("offset").max() + 1), EVENTS)
    return {(topic, partition): end for topic, partition, end in ends.iter_rows()}
