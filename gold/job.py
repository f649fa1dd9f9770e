"""The gold job: what the new silver rows touch is computed anew, then all tables are published as one snapshot."""

from __future__ import annotations

from datetime import datetime
from functools import partial

import structlog
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.changes import ChangeSummary, summarize
from gold.losses import lost_tables
from gold.recompute import rebuild, recompute
from gold.restatements import published_figures, restate_all, restate_touched, touched_tables
from gold.rules import load_rules
from lakehouse.clock import Clock, utc_now
from lakehouse.lake import Lake, struct_type
from lakehouse.locks import writer_lock
from lakehouse.progress import read_progress
from lakehouse.session import run_concurrently
from lakehouse.snapshots import Snapshot, next_instant, snapshot_from_metadata, snapshot_from_row
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.gold import SNAPSHOTS
from lakehouse.tables.silver import EVENTS

log = structlog.get_logger()


def publish(lake: Lake, *, clock: Clock = utc_now) -> Snapshot | None:
    """Brings gold up to silver and publishes the next snapshot.

    Returns:
        The new snapshot; None where nothing has changed since the last one, and so nothing was written.

    Raises:
        LockHeld: Another job writes silver or gold.
    """
    with writer_lock(lake, "refresh"):
        return publish_snapshot(lake, clock=clock)


def publish_snapshot(lake: Lake, *, clock: Clock) -> Snapshot | None:
    """What `publish` does, for a caller that holds the lock of refresh."""
    last = opened_gold(lake)
    silver_version = lake.version(EVENTS)
    changed = None if is_rewritten(lake, last) else changed_events(lake, last, silver_version=silver_version)
    if changed is None:
        return publish_rebuilt(lake, clock=clock)
    try:
        span = summarize(changed)
        figures = {} if last is None else published_figures(lake, last, tables=touched_tables(last, span))
        if silver_version > covered_version(last):
            rule = load_rules(lake.settings).brute_force_ip
            recompute(lake, changed, span=span, events=lake.read(EVENTS, version=silver_version), rule=rule)
        if last is not None:
            restate_touched(lake, last, figures=figures, changed=changed, span=span)
        return publish_versions(lake, last, span=span, clock=clock)
    finally:
        changed.unpersist()


def publish_rebuilt(lake: Lake, *, clock: Clock) -> Snapshot | None:
    """Writes all of gold anew and publishes the next snapshot, for a caller that holds the lock of refresh."""
    last = opened_gold(lake)
    # Told before they are written anew: what was published of them can't be read any more.
    lost = [] if last is None else lost_tables(lake, last)
    events = lake.read(EVENTS, version=lake.version(EVENTS))
    rebuild(lake, events, rule=load_rules(lake.settings).brute_force_ip)
    if last is not None:
        restate_all(lake, last, events=events, lost=lost)
    return publish_versions(lake, last, span=summarize(events), clock=clock)


def publish_versions(lake: Lake, last: Snapshot | None, *, span: ChangeSummary, clock: Clock) -> Snapshot | None:
    """Publishes the tables as they are now; None where they are those of the last snapshot."""
    snapshot = next_snapshot(lake, last, span=span, clock=clock)
    if not snapshot.offsets or (last is not None and snapshot.versions == last.versions):
        return None
    # One partition: Spark would write a file without rows for each other one, which no version names.
    row = lake.spark.createDataFrame([snapshot.row()], struct_type(SNAPSHOTS)).coalesce(1)
    lake.append(SNAPSHOTS, row, user_metadata=snapshot.user_metadata())
    log.info("snapshot_published", snapshot=snapshot.id, silver=snapshot.versions[EVENTS.full_name])
    return snapshot


def opened_gold(lake: Lake) -> Snapshot | None:
    """The newest published snapshot, None before the first; with all tables there that the next one names."""
    run_concurrently(lake.spark, *(partial(lake.ensure, table) for table in (*SNAPSHOT_TABLES, SNAPSHOTS)))
    return last_snapshot(lake)


def is_rewritten(lake: Lake, last: Snapshot | None) -> bool:
    """True where silver was written anew since the snapshot, or gold by a rebuild that ended before it published.

    The change feed of such a silver holds every row twice, and such a gold may be half of one kind, half of another.
    """
    return last is not None and any(
        lake.was_overwritten(table, after=last.versions.get(table.full_name, 0)) for table in SNAPSHOT_TABLES
    )


def last_snapshot(lake: Lake) -> Snapshot | None:
    """The newest published snapshot, None before the first."""
    noted = snapshot_from_metadata(lake.user_metadata(SNAPSHOTS))
    if noted is not None:
        return noted
    rows = lake.read(SNAPSHOTS).orderBy(F.desc("id")).limit(1).toArrow().to_pylist()
    return snapshot_from_row(rows[0]) if rows else None


def covered_version(snapshot: Snapshot | None) -> int:
    """The silver version that gold covers; -1 before the first snapshot."""
    return -1 if snapshot is None else snapshot.versions[EVENTS.full_name]


def changed_events(lake: Lake, last: Snapshot | None, *, silver_version: int) -> DataFrame | None:
    """Silver's rows that came, went or changed since the snapshot; None where only a rebuild can tell."""
    if last is None:
        return None
    lost = lost_tables(lake, last)
    if lost:
        log.warning("commits_lost", tables=lost, snapshot=last.id, hint="gold is computed anew from silver")
        return None
    covered = covered_version(last)
    if covered == silver_version:
        return lake.read(EVENTS, version=silver_version).limit(0)
    try:
        # Kept, since it is read more than once; and planned by that, which is when Delta refuses it.
        return lake.changes(EVENTS, after=covered, until=silver_version).persist()
    except AnalysisException as error:
        log.warning("change_feed_refused", condition=error.getCondition(), after=covered)
        return None


def next_snapshot(lake: Lake, last: Snapshot | None, *, span: ChangeSummary, clock: Clock) -> Snapshot:
    """The snapshot of all tables as they are now."""
    covered = read_progress(lake)
    return Snapshot(
        id=last.id + 1 if last else 1,
        versions={table.full_name: lake.version(table) for table in SNAPSHOT_TABLES},
        offsets=covered.offsets,
        last_event_at=_later(last.last_event_at if last else None, span.last_event_at),
        last_append_at=_later(last.last_append_at if last else None, span.last_append_at),
        # A commit of silver that read nothing new, such as that of a redrive, does not name them.
        enrichment=covered.enrichment or (last.enrichment if last else {}),
        # Read last: who asks for this instant before the snapshot is published is given the one before.
        at=next_instant(last, clock=clock()),
    )


def _later(first: datetime | None, second: datetime | None) -> datetime | None:
    return max((instant for instant in (first, second) if instant is not None), default=None)
