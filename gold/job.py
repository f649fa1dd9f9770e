"""The gold job: changes, activity, first logins, detections, restatements, snapshot."""

from __future__ import annotations

from functools import partial

from gold.activity import write_activity
from gold.changes import Changes, read_changes, read_for_rebuild
from gold.detect import overwrite_detections, update_detections
from gold.first_seen import find_first_logins, overwrite_first_seen, write_first_seen
from gold.publish import last_snapshot, publish_snapshot
from gold.restatements import published_figures, write_restatements
from gold.rules import Rules, load_rules
from lakehouse.clock import Clock, utc_now
from lakehouse.lake import Lake
from lakehouse.locks import writer_lock
from lakehouse.session import run_concurrently
from lakehouse.snapshots import Snapshot
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.gold import DETECTIONS, FIRST_SEEN, SNAPSHOTS
from lakehouse.tables.model import Table


def refresh_gold(lake: Lake, *, clock: Clock = utc_now) -> Snapshot | None:
    """Update gold from silver and publish the next snapshot.

    Returns:
        The new snapshot; None if nothing has changed since the last one, in which case nothing is written.

    Raises:
        LockHeld: Another job writes silver or gold.
    """
    with writer_lock(lake, "refresh"):
        return update_and_publish(lake, clock=clock)


def update_and_publish(lake: Lake, *, clock: Clock) -> Snapshot | None:
    """Update gold from silver and publish the next snapshot. The caller must hold the refresh lock.

    Returns:
        The new snapshot; None if nothing has changed since the last one.
    """
    ensure_tables(lake)
    rules = load_rules(lake.settings)
    return _write(lake, read_changes(lake, last_snapshot(lake), rules=rules), rules=rules, clock=clock)


def rebuild_and_publish(lake: Lake, *, clock: Clock) -> Snapshot | None:
    """Compute all of gold from silver and publish the next snapshot. The caller must hold the refresh lock.

    Returns:
        The new snapshot; None if silver is empty.
    """
    ensure_tables(lake)
    rules = load_rules(lake.settings)
    return _write(lake, read_for_rebuild(lake, last_snapshot(lake), rules=rules), rules=rules, clock=clock)


def ensure_tables(lake: Lake) -> None:
    """Create the tables of silver and gold that are missing, and check the others against their declarations."""
    run_concurrently(lake.spark, *(partial(lake.ensure, table) for table in (*SNAPSHOT_TABLES, SNAPSHOTS)))


def _write(lake: Lake, changes: Changes, *, rules: Rules, clock: Clock) -> Snapshot | None:
    try:
        if not changes.progress.offsets:  # silver is empty
            return None
        published = published_figures(lake, changes)
        (_rebuild if changes.is_rebuild else _update)(lake, changes, rules=rules)
        write_restatements(lake, changes, published=published)
        return publish_snapshot(lake, changes, clock=clock)
    finally:
        changes.feed.unpersist()


def _rebuild(lake: Lake, changes: Changes, *, rules: Rules) -> None:
    run_concurrently(
        lake.spark,
        partial(write_activity, lake, changes),
        partial(overwrite_first_seen, lake, changes),
        partial(overwrite_detections, lake, changes, rules=tuple(rules)),
    )


def _update(lake: Lake, changes: Changes, *, rules: Rules) -> None:
    # These two are updated from what was published, and not computed again from the events of whole days.
    for table in (FIRST_SEEN, DETECTIONS):
        undo_stopped_refresh(lake, changes, table=table)
    if not changes.summary.touches_gold:
        return
    logins = find_first_logins(lake, changes)
    run_concurrently(
        lake.spark,
        partial(write_activity, lake, changes),
        partial(write_first_seen, lake, logins),
        partial(update_detections, lake, changes, rules=rules, logins=logins),
    )


def undo_stopped_refresh(lake: Lake, changes: Changes, *, table: Table) -> None:
    """Restore the published rows of a table, if a refresh that was stopped before it published has changed them."""
    published = changes.last.versions[table.full_name] if changes.last else lake.version(table)
    if lake.was_written(table, after=published):
        lake.restore(table, version=published)
        lake.ensure(table)  # the published version may lack a declared column
