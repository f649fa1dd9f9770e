"""What `maintain` would compact, read from the Delta logs without Spark; and its report."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from deltalake import DeltaTable

from lakehouse.errors import TableMissing
from lakehouse.fragments import FRAGMENTS, SMALL_BYTES
from lakehouse.progress_bar import Progress
from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot, oldest_needed
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import SNAPSHOTS
from lakehouse.tables.model import Table
from loginlake.lake_files import lake_files
from serving.delta_tables import DeltaTables
from serving.store import Store


@dataclass(frozen=True)
class TableMaintenance:
    """The maintenance of one table, done or planned.

    Attributes:
        table: Full name of the table.
        small_files: Files that are compacted into larger ones.
        bytes_before: Size of the table's folder before.
        bytes_after: Size of the table's folder after; None if nothing was done.
    """

    table: str
    small_files: int
    bytes_before: int
    bytes_after: int | None


def plan_maintenance(settings: Settings, *, on_table: Progress = lambda *_: None) -> list[TableMaintenance]:
    """Return what `maintain` would compact now.

    Args:
        settings: They name the lake.
        on_table: Called with the progress before each table.

    Raises:
        LakeUnreadable: A table can't be read.
    """
    opened = DeltaTables(settings)
    tables = (RAW_LOGS, *SNAPSHOT_TABLES, SNAPSHOTS)
    planned = []
    for number, table in enumerate(tables):
        on_table(f"Planning {table.full_name}", number, len(tables))
        try:
            handle = opened.newest(table)
        except TableMissing:
            continue
        planned.append(TableMaintenance(table.full_name, small_files(handle, table), size_of(settings, table), None))
    return planned


def expiring_snapshots(store: Store, settings: Settings, *, now: datetime) -> list[Snapshot]:
    """Return the snapshots that can be queried now and that `maintain` would expire, oldest first."""
    snapshots = store.snapshots()
    if not snapshots:
        return []
    kept_from = oldest_needed(snapshots, since=max(now, snapshots[-1].at) - timedelta(days=settings.retention_days))
    return [snapshot for snapshot in store.retained(snapshots) if snapshot.id < kept_from.id]


def small_files(handle: DeltaTable, table: Table) -> int:
    """Return the number of small files in the partitions that have enough of them to be compacted."""
    files = handle.get_add_actions(flatten=True)
    sizes = files["size_bytes"].to_pylist()
    columns = [files[f"partition.{name}"].to_pylist() for name in table.partition_by]
    partitions = list(zip(*columns, strict=True)) if columns else [()] * len(sizes)
    small = Counter(partition for partition, size in zip(partitions, sizes, strict=True) if size < SMALL_BYTES)
    return sum(count for count in small.values() if count >= FRAGMENTS)


def size_of(settings: Settings, table: Table) -> int:
    """Return the bytes in the table's folder.

    Hadoop's checksum files do not count, as in `lakehouse.maintenance.size_of`.
    """
    files = lake_files(settings, table.layer, table.name)
    return sum(file.size for file in files if not (file.name.startswith(".") and file.name.endswith(".crc")))
