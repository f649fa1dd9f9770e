"""Snapshots: publishing the versions of silver and gold as one row of gold.snapshots, and reading the last one."""

from __future__ import annotations

from datetime import datetime

import structlog
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.changes import Changes
from lakehouse.clock import Clock
from lakehouse.lake import Lake
from lakehouse.schema import struct_type
from lakehouse.snapshots import Snapshot, next_instant, snapshot_from_metadata, snapshot_from_row
from lakehouse.steps import step
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.gold import SNAPSHOTS
from lakehouse.tables.silver import EVENTS

log = structlog.get_logger()


@step("Publishing")
def publish_snapshot(lake: Lake, changes: Changes, *, clock: Clock) -> Snapshot | None:
    """Publish the tables as they are now; return None if no table has changed since the last snapshot."""
    snapshot = next_snapshot(lake, changes, clock=clock)
    if changes.last is not None and snapshot.versions == changes.last.versions:
        return None
    # One partition, because Spark writes an empty file for each other one, and no version names those files.
    row = lake.spark.createDataFrame([snapshot.row()], struct_type(SNAPSHOTS)).coalesce(1)
    lake.append(SNAPSHOTS, row, user_metadata=snapshot.user_metadata())
    log.info("snapshot_published", snapshot=snapshot.id, silver=snapshot.versions[EVENTS.full_name])
    return snapshot


def last_snapshot(lake: Lake) -> Snapshot | None:
    """Return the newest published snapshot, None before the first one."""
    noted = snapshot_from_metadata(lake.user_metadata(SNAPSHOTS))
    if noted is not None:
        return noted
    rows = lake.read(SNAPSHOTS).orderBy(F.desc("id")).limit(1).toArrow().to_pylist()
    return snapshot_from_row(rows[0]) if rows else None


def next_snapshot(lake: Lake, changes: Changes, *, clock: Clock) -> Snapshot:
    """Return the snapshot of all tables as they are now, without publishing it."""
    last, progress, summary = changes.last, changes.progress, changes.summary
    return Snapshot(
        id=last.id + 1 if last else 1,
        versions={table.full_name: lake.version(table) for table in SNAPSHOT_TABLES},
        offsets=progress.offsets,
        last_event_at=_later(last.last_event_at if last else None, summary.last_event_at),
        last_append_at=_later(last.last_append_at if last else None, summary.last_append_at),
        # A silver commit that read no new rows, such as a redrive, does not note the enrichment data.
        enrichment=progress.enrichment or (last.enrichment if last else {}),
        # The clock is read last: a query as of this instant that arrives before the row is published then still gets
        # the previous snapshot.
        at=next_instant(last, clock=clock()),
    )


def _later(first: datetime | None, second: datetime | None) -> datetime | None:
    return max((instant for instant in (first, second) if instant is not None), default=None)
