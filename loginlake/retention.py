"""Maintenance of the lake: compact tables, expire snapshots, and remove files that no retained snapshot needs."""

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
from lakehouse.maintenance import compact, remove_old_checkpoints, remove_unneeded, size_of, trim_log, vacuum
from lakehouse.settings import Settings
from lakehouse.snapshots import RETAINED_FROM, Snapshot, oldest_needed, snapshot_from_row
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import SNAPSHOTS
from lakehouse.tables.model import Table
from loginlake.maintenance_plan import TableMaintenance

log = structlog.get_logger()


# Property of gold.snapshots: the oldest snapshot whose files still exist; an older one can't become queryable again.
FILES_KEPT_FROM = "loginlake.keptFrom"
# A removal reads all later commits, so it waits until a day of snapshots can be removed together.
REMOVAL_INTERVAL = timedelta(days=1)
# No job that writes runs beside maintenance. A dry run may, and is shorter than this.
CHECKPOINT_AGE = timedelta(days=1)


@dataclass(frozen=True)
class RetainedSnapshots:
    """The limits of retention at an instant.

    Attributes:
        oldest_queryable: The oldest snapshot that can be queried.
        oldest_with_files: The oldest snapshot whose files are kept, for readers that have already opened it.
        last: The newest snapshot.
    """

    oldest_queryable: Snapshot
    oldest_with_files: Snapshot
    last: Snapshot


def retained_snapshots(snapshots: Sequence[Snapshot], settings: Settings, *, now: datetime) -> RetainedSnapshots:
    """Return which of the snapshots, at least one, RETENTION_DAYS and RETENTION_GRACE_DAYS retain."""
    retention, grace = timedelta(days=settings.retention_days), timedelta(days=settings.retention_grace_days)
    return RetainedSnapshots(
        oldest_queryable=oldest_needed(snapshots, since=now - retention),
        oldest_with_files=oldest_needed(snapshots, since=now - retention - grace),
        last=snapshots[-1],
    )


def maintain(lake: Lake, *, clock: Clock = utc_now) -> list[TableMaintenance]:
    """Compact all tables, publish the compacted versions, expire old snapshots and remove their files.

    Each step leaves a complete lake, so that it can be interrupted at any point.

    Raises:
        LockHeld: Another job writes silver or gold; or RETENTION_GRACE_DAYS is 0 and a reader is open.
    """
    with ExitStack() as locks:
        locks.enter_context(writer_lock(lake, "refresh", is_maintenance=True))
        if lake.settings.retention_grace_days == 0:
            locks.enter_context(no_readers(lake))
        if folders := remove_old_checkpoints(lake, before=clock() - CHECKPOINT_AGE):
            log.info("checkpoints_removed", folders=folders)
        return [*_maintain_published(lake, clock), *_maintain_bronze(lake)]


def published_snapshots(lake: Lake) -> list[Snapshot]:
    """Return all published snapshots, oldest first."""
    return [snapshot_from_row(row) for row in lake.read(SNAPSHOTS).orderBy("id").toArrow().to_pylist()]


def _maintain_published(lake: Lake, clock: Clock) -> list[TableMaintenance]:
    tables = [table for table in (*SNAPSHOT_TABLES, SNAPSHOTS) if lake.exists(table)]
    before = [size_of(lake, table) for table in tables]
    small = [compact(lake, table) for table in tables]
    update_and_publish(lake, clock=clock)
    snapshots = published_snapshots(lake)
    if snapshots:
        now = max(clock(), snapshots[-1].at)
        _expire(lake, snapshots, tables=tables, now=now)
    return [
        TableMaintenance(table.full_name, files, size, size_of(lake, table))
        for table, files, size in zip(tables, small, before, strict=True)
    ]


def _expire(lake: Lake, snapshots: Sequence[Snapshot], *, tables: Sequence[Table], now: datetime) -> None:
    """Record which snapshots can be queried, and only then remove the files that expired ones alone need."""
    retained = retained_snapshots(snapshots, lake.settings, now=now)
    # A longer retention does not bring back files that were removed.
    files_kept_from = int(lake.table_property(SNAPSHOTS, FILES_KEPT_FROM) or snapshots[0].id)
    retained_from = str(max(files_kept_from, retained.oldest_queryable.id))
    if lake.table_property(SNAPSHOTS, RETAINED_FROM) != retained_from:
        lake.set_property(SNAPSHOTS, name=RETAINED_FROM, value=retained_from)
        log.info("snapshots_expired", retained_from=retained_from)
    oldest = next((snapshot for snapshot in snapshots if snapshot.id >= files_kept_from), snapshots[-1])
    if _is_removal_due(oldest, retained, settings=lake.settings):
        # Recorded before the removal: the next one completes it if it is interrupted.
        lake.set_property(SNAPSHOTS, name=FILES_KEPT_FROM, value=str(retained.oldest_with_files.id))
        for table in tables:
            _remove_files(lake, table, retained=retained)


def _is_removal_due(oldest: Snapshot, retained: RetainedSnapshots, *, settings: Settings) -> bool:
    """Return True if a day of snapshots, or all of a shorter retention, has expired since the last removal."""
    kept_for = timedelta(days=settings.retention_days + settings.retention_grace_days)
    expired_for = retained.oldest_with_files.at - oldest.at
    return retained.oldest_with_files.id > oldest.id and expired_for >= min(REMOVAL_INTERVAL, kept_for)


def _remove_files(lake: Lake, table: Table, *, retained: RetainedSnapshots) -> None:
    needed = _oldest_needed_version(lake, table, retained=retained)
    files = remove_unneeded(lake, table, needed=needed)
    commits = trim_log(lake, table, needed=needed)
    log.info("files_removed", table=table.full_name, files=files, commits=commits)


def _oldest_needed_version(lake: Lake, table: Table, *, retained: RetainedSnapshots) -> int:
    """Return the oldest version of the table that a snapshot with files names."""
    if table == SNAPSHOTS:
        return max(0, lake.version(SNAPSHOTS) - (retained.last.id - retained.oldest_with_files.id))
    return retained.oldest_with_files.versions.get(table.full_name, 0)


def _maintain_bronze(lake: Lake) -> list[TableMaintenance]:
    """Compact bronze and remove old files, unless the bronze job runs, which does this itself."""
    if not lake.exists(RAW_LOGS):
        return []
    before = size_of(lake, RAW_LOGS)
    try:
        with writer_lock(lake, "bronze", is_maintenance=True):
            small = compact(lake, RAW_LOGS)
            vacuum(lake, RAW_LOGS, hours=24.0 * lake.settings.retention_grace_days)
            trim_log(lake, RAW_LOGS, needed=lake.version(RAW_LOGS) if lake.settings.retention_grace_days == 0 else 0)
    except LockHeld as held:
        log.info("bronze_maintains_itself", holder=held.parts.get("pid"))
        return [TableMaintenance(RAW_LOGS.full_name, 0, before, None)]
    return [TableMaintenance(RAW_LOGS.full_name, small, before, size_of(lake, RAW_LOGS))]
