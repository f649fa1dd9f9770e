"""What `loginlake maintain` does: compacts, expires snapshots, and removes what no promised one needs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from gold.job import update_and_publish
from lakehouse.clock import Clock, utc_now
from lakehouse.errors import LockHeld
from lakehouse.lake import Lake
from lakehouse.locks import no_readers, writer_lock
from lakehouse.maintenance import compacted, fragmented, remove_unneeded, size_of, trim_log, vacuum
from lakehouse.settings import Settings
from lakehouse.snapshots import RETAINED_FROM, Snapshot, oldest_needed, snapshot_from_row
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import SNAPSHOTS
from lakehouse.tables.model import Table

log = structlog.get_logger()


# The oldest snapshot whose files the last removal has left: none older can be promised again.
KEPT_FROM = "loginlake.keptFrom"
# To find what only expired snapshots need every later commit is read: so it is done for a day of them together.
STEP = timedelta(days=1)


@dataclass(frozen=True)
class TableMaintenance:
    """What was done, or would be, for one table.

    Attributes:
        table: Its full name.
        small_files: Files in partitions that are compacted.
        bytes_before: Bytes below its folder before.
        bytes_after: And after; None where nothing was done.
    """

    table: str
    small_files: int
    bytes_before: int
    bytes_after: int | None


@dataclass(frozen=True)
class Horizon:
    """What the promise holds on to at a moment.

    Attributes:
        promised: The oldest snapshot that may still be asked for.
        kept: The oldest snapshot whose files stay, for who has begun to read it.
        last: The newest snapshot.
    """

    promised: Snapshot
    kept: Snapshot
    last: Snapshot


def horizon(snapshots: Sequence[Snapshot], settings: Settings, *, now: datetime) -> Horizon:
    """The snapshots that RETENTION_DAYS and RETENTION_GRACE_DAYS hold on to now; there must be one."""
    promise, grace = timedelta(days=settings.retention_days), timedelta(days=settings.retention_grace_days)
    return Horizon(
        promised=oldest_needed(snapshots, since=now - promise),
        kept=oldest_needed(snapshots, since=now - promise - grace),
        last=snapshots[-1],
    )


def planned(lake: Lake) -> list[TableMaintenance]:
    """What `maintain` would compact now."""
    return [
        TableMaintenance(
            table.full_name, sum(part.files for part in fragmented(lake, table)), size_of(lake, table), None
        )
        for table in (RAW_LOGS, *SNAPSHOT_TABLES, SNAPSHOTS)
        if lake.exists(table)
    ]


def maintain(lake: Lake, *, clock: Clock = utc_now) -> list[TableMaintenance]:
    """Compacts the tables, publishes that as a snapshot, expires snapshots and removes their files.

    Each step leaves a lake that is whole: it may be stopped anywhere.

    Raises:
        LockHeld: Another job writes silver or gold; or nothing is to be kept for readers and one is there.
    """
    with ExitStack() as held:
        held.enter_context(writer_lock(lake, "refresh", upkeep=True))
        if lake.settings.retention_grace_days == 0:
            held.enter_context(no_readers(lake))
        return [*_maintain_published(lake, clock), *_maintain_bronze(lake)]


def published(lake: Lake) -> list[Snapshot]:
    """All published snapshots, oldest first."""
    return [snapshot_from_row(row) for row in lake.read(SNAPSHOTS).orderBy("id").toArrow().to_pylist()]


def _maintain_published(lake: Lake, clock: Clock) -> list[TableMaintenance]:
    tables = [table for table in (*SNAPSHOT_TABLES, SNAPSHOTS) if lake.exists(table)]
    before = [size_of(lake, table) for table in tables]
    small = [compacted(lake, table) for table in tables]
    update_and_publish(lake, clock=clock)
    snapshots = published(lake)
    if snapshots:
        now = max(clock(), snapshots[-1].at)
        _expire(lake, snapshots, tables=tables, now=now)
    return [
        TableMaintenance(table.full_name, files, size, size_of(lake, table))
        for table, files, size in zip(tables, small, before, strict=True)
    ]


def _expire(lake: Lake, snapshots: Sequence[Snapshot], *, tables: Sequence[Table], now: datetime) -> None:
    """Says which snapshots are no longer retained, and only then removes what those alone need."""
    held = horizon(snapshots, lake.settings, now=now)
    # What has gone does not come back where the promise is made longer.
    kept_from = int(lake.table_property(SNAPSHOTS, KEPT_FROM) or snapshots[0].id)
    retained_from = str(max(kept_from, held.promised.id))
    if lake.table_property(SNAPSHOTS, RETAINED_FROM) != retained_from:
        lake.set_property(SNAPSHOTS, name=RETAINED_FROM, value=retained_from)
        log.info("snapshots_expired", retained_from=retained_from)
    oldest = next((snapshot for snapshot in snapshots if snapshot.id >= kept_from), snapshots[-1])
    kept_for = timedelta(days=lake.settings.retention_days + lake.settings.retention_grace_days)
    is_due = held.kept.at - oldest.at >= min(STEP, kept_for)
    if held.kept.id > oldest.id and is_due:
        # Noted before anything goes: what a stopped removal has left the next one takes.
        lake.set_property(SNAPSHOTS, name=KEPT_FROM, value=str(held.kept.id))
        for table in tables:
            needed = _needed_version(lake, table, held=held)
            files = remove_unneeded(lake, table, needed=needed)
            commits = trim_log(lake, table, needed=needed)
            log.info("files_removed", table=table.full_name, files=files, commits=commits)


def _needed_version(lake: Lake, table: Table, *, held: Horizon) -> int:
    """The oldest version of the table that is still asked for."""
    if table == SNAPSHOTS:
        return max(0, lake.version(SNAPSHOTS) - (held.last.id - held.kept.id))
    return held.kept.versions.get(table.full_name, 0)


def _maintain_bronze(lake: Lake) -> list[TableMaintenance]:
    """Bronze, unless its own job runs, which then does this itself."""
    if not lake.exists(RAW_LOGS):
        return []
    before = size_of(lake, RAW_LOGS)
    try:
        with writer_lock(lake, "bronze", upkeep=True):
            small = compacted(lake, RAW_LOGS)
            vacuum(lake, RAW_LOGS, hours=24.0 * lake.settings.retention_grace_days)
            trim_log(lake, RAW_LOGS, needed=lake.version(RAW_LOGS) if lake.settings.retention_grace_days == 0 else 0)
    except LockHeld as held:
        log.info("bronze_maintains_itself", holder=held.parts.get("pid"))
        return [TableMaintenance(RAW_LOGS.full_name, 0, before, None)]
    return [TableMaintenance(RAW_LOGS.full_name, small, before, size_of(lake, RAW_LOGS))]
