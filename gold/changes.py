"""What changed in silver since the last snapshot, and whether gold can be updated by it or must be rebuilt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, date, datetime
from functools import partial
from typing import NamedTuple, TypeAlias

import narwhals.stable.v2 as nw
import structlog
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.rules.evaluate import with_masks
from gold.rules.model import AnyRule
from gold.transforms.base import is_accepted, is_counted
from lakehouse.error_translation import translated_errors
from lakehouse.errors import LakeUnreadable
from lakehouse.lake import Lake
from lakehouse.progress import SilverProgress, is_below, read_silver_progress
from lakehouse.session import run_concurrently
from lakehouse.snapshots import Snapshot
from lakehouse.steps import step
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.gold import RESTATEMENTS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS

log = structlog.get_logger()

# A commit that replaces days lists them in its condition; longer lists are split into several commits.
DAYS_PER_COMMIT = 100

# Rows of silver.events with Delta's column `_change_type`, and with the masks of all rules.
ChangeFeed: TypeAlias = DataFrame


class ChangeSummary(NamedTuple):
    """When the rows of a change feed happened.

    Attributes:
        first_event_at: Smallest event time of an accepted row; None if there is none.
        last_event_at: Largest event time of an accepted row.
        last_append_at: Largest Kafka append time of any row; instants outside Python's calendar do not count.
        metric_days: Event days of the rows that the metrics count.
        rule_days: Event days of the rows that each rule reads, by the rule's name.
    """

    first_event_at: datetime | None = None
    last_event_at: datetime | None = None
    last_append_at: datetime | None = None
    metric_days: Sequence[date] = ()
    rule_days: Mapping[str, Sequence[date]] = {}

    @property
    def touches_gold(self) -> bool:
        """Return whether a metric counts a row, or a rule reads one."""
        return bool(self.metric_days) or any(self.rule_days.values())


@dataclass(frozen=True)
class Changes:
    """What one refresh of gold works on. It is read once; all later steps depend on it only.

    Attributes:
        last: The snapshot to go on from; None before the first one.
        progress: How far silver has read bronze.
        events: All rows of silver.events, at the version that the next snapshot will name.
        feed: The rows added, changed or removed since `last`. In a rebuild, the rows beyond the offsets of `last`.
        summary: When the rows of `feed` happened; in a rebuild, those of `events`.
        is_rebuild: True if all of gold is computed from `events`, False if it is updated where `feed` touches it.
        unreadable: Full names of the tables that can't be read as `last` names them.
    """

    last: Snapshot | None
    progress: SilverProgress
    events: DataFrame
    feed: ChangeFeed
    summary: ChangeSummary
    is_rebuild: bool
    unreadable: Sequence[str] = ()


@step("Finding what changed")
def read_changes(lake: Lake, last: Snapshot | None, *, rules: Iterable[AnyRule]) -> Changes:
    """Return what changed since the last snapshot, and decide whether gold is updated or rebuilt.

    The feed is cached: the caller unpersists it when gold is written.
    """
    lost = lost_commits(lake, last) if last else []
    if last and lost:
        log.warning("commits_lost", tables=lost, snapshot=last.id, hint="gold is rebuilt from silver")
    if last is None or lost or must_rebuild(lake, last):
        return _changes_for_rebuild(lake, last, unreadable=lost, rules=rules)
    version = lake.version(EVENTS)
    rules = tuple(rules)
    feed = change_feed(lake, last, until=version, rules=rules)
    if feed is None:
        return _changes_for_rebuild(lake, last, unreadable=[], rules=rules)
    return Changes(
        last,
        read_silver_progress(lake, version=version),
        events=lake.read(EVENTS, version=version),
        feed=feed,
        summary=summarize(feed, rules) if version > last.versions[EVENTS.full_name] else ChangeSummary(),
        is_rebuild=False,
    )


def read_for_rebuild(lake: Lake, last: Snapshot | None, *, rules: Iterable[AnyRule]) -> Changes:
    """Return what a rebuild of all of gold works on."""
    lost = lost_commits(lake, last) if last else []
    return _changes_for_rebuild(lake, last, unreadable=lost, rules=rules)


def days_per_commit(days: Iterable[date]) -> Iterator[list[date]]:
    """Yield the days in order, in lists short enough for the condition of one commit."""
    ordered = sorted(days)
    for first in range(0, len(ordered), DAYS_PER_COMMIT):
        yield ordered[first : first + DAYS_PER_COMMIT]


def summarize(marked: DataFrame, rules: Iterable[AnyRule]) -> ChangeSummary:
    """Summarize rows of silver.events in one pass.

    Args:
        marked: The rows as `with_masks` returns them for the rules.
        rules: The rules.
    """
    names = [rule.name for rule in rules]
    rows = nw.from_native(marked).with_columns(is_accepted=is_accepted(), is_counted=is_counted()).to_native()
    event_at = F.when(F.col("is_accepted"), F.col("event_at"))
    # In a topic with timestamp type CreateTime the producer sets the append time: it can be any 64-bit number.
    append_at = F.when(F.year("appended_at").between(MINYEAR, MAXYEAR), F.col("appended_at"))
    (row,) = (
        rows.agg(
            F.min(event_at).alias("first_event_at"),
            F.max(event_at).alias("last_event_at"),
            F.max(append_at).alias("last_append_at"),
            *(_days_where(mask) for mask in ("is_counted", *names)),
        )
        .toArrow()
        .to_pylist()
    )
    return ChangeSummary(
        first_event_at=row["first_event_at"],
        last_event_at=row["last_event_at"],
        last_append_at=row["last_append_at"],
        metric_days=row["is_counted"],
        rule_days={name: row[name] for name in names},
    )


def lost_commits(lake: Lake, last: Snapshot) -> list[str]:
    """Return the full names of the tables that have lost the commit which the last snapshot names.

    Silver may have lost a commit and written another one under the same version since then. Its offsets show that.
    """
    named = [table for table in SNAPSHOT_TABLES if table.full_name in last.versions]
    lost = [table for table in named if lake.commit_info(table, last.versions[table.full_name]) is None]
    published = last.versions[EVENTS.full_name]
    if EVENTS not in lost and read_silver_progress(lake, version=published).offsets != last.offsets:
        lost.append(EVENTS)
    return [table.full_name for table in lost]


def damaged_tables(lake: Lake, last: Snapshot, *, lost: Sequence[str]) -> list[str]:
    """Return the full names of the gold tables with a file that can't be read at the version of the last snapshot.

    A rebuild compares gold with what was published, but it also repairs gold: what can't be read is not compared.

    Args:
        lake: The lake.
        last: The last snapshot.
        lost: Full names of tables that are known to be unreadable, and are left out.
    """
    published = [
        table
        for table in SNAPSHOT_TABLES
        if table.layer == "gold" and table.full_name in last.versions and table.full_name not in lost
    ]
    if not published:
        return []
    reads = (partial(_is_readable, lake, table, version=last.versions[table.full_name]) for table in published)
    readable = run_concurrently(lake.spark, *reads)
    return [table.full_name for table, is_readable in zip(published, readable, strict=True) if not is_readable]


def added_tables(last: Snapshot) -> list[Table]:
    """Return the tables that were declared after the last snapshot and must be computed from all of silver.

    Restatements are not among them: they begin with the first refresh that writes them.
    """
    return [table for table in SNAPSHOT_TABLES if table.full_name not in last.versions and table != RESTATEMENTS]


def must_rebuild(lake: Lake, last: Snapshot) -> bool:
    """Return True if a table is new, or was overwritten since the last snapshot.

    The change feed of an overwritten silver table has every row twice. Gold tables are overwritten by a rebuild; if it
    ended before it published, some tables may be old and some new.
    """
    if new := added_tables(last):
        log.info("tables_added", tables=[table.full_name for table in new], snapshot=last.id)
        return True
    return any(lake.was_overwritten(table, after=last.versions.get(table.full_name, 0)) for table in SNAPSHOT_TABLES)


def change_feed(lake: Lake, last: Snapshot, *, until: int, rules: Iterable[AnyRule]) -> ChangeFeed | None:
    """Return silver's change feed since the last snapshot, persisted; None if Delta refuses to read it."""
    covered = last.versions[EVENTS.full_name]
    if covered == until:  # nothing reads this feed
        return lake.read(EVENTS, version=until).limit(0)
    try:
        # It is read more than once. persist() also plans it, and planning is when Delta refuses.
        feed: ChangeFeed = with_masks(lake.changes(EVENTS, after=covered, until=until), rules)
        return feed.persist()
    except AnalysisException as error:
        log.warning("change_feed_refused", condition=error.getCondition(), after=covered, hint="gold is rebuilt")
        return None


def _is_readable(lake: Lake, table: Table, *, version: int) -> bool:
    try:
        with translated_errors():
            lake.read(table, version=version).write.format("noop").mode("overwrite").save()
    except LakeUnreadable as error:
        log.warning("table_damaged", table=table.full_name, what=error.what, hint="its published rows are not compared")
        return False
    return True


def _changes_for_rebuild(
    lake: Lake, last: Snapshot | None, *, unreadable: Sequence[str], rules: Iterable[AnyRule]
) -> Changes:
    version = lake.version(EVENTS)
    progress, events = read_silver_progress(lake, version=version), lake.read(EVENTS, version=version)
    if last is not None:
        unreadable = [*unreadable, *damaged_tables(lake, last, lost=unreadable)]
    is_new = ~is_below(last.offsets if last else {}, F.col)
    rules = tuple(rules)
    marked: DataFrame = with_masks(events, rules)
    return Changes(
        last,
        progress,
        events=events,
        feed=marked.where(is_new).withColumn("_change_type", F.lit("insert")),
        summary=summarize(marked, rules) if progress.offsets else ChangeSummary(),
        is_rebuild=True,
        unreadable=unreadable,
    )


def _days_where(mask: str) -> Column:
    return F.collect_set(F.when(F.col(mask), F.col("event_on"))).alias(mask)
