"""Restatements: which published figures of closed windows the next snapshot changes, from what to what, and why.

A window is closed if it ends at or before the `now` of the last snapshot. The restatements are the differences between
the tables as the last snapshot names them and as they are now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial, reduce
from operator import or_
from typing import TypeAlias

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.changes import ChangeFeed, Changes
from gold.transforms.base import counted_events
from lakehouse.joins import semi_join
from lakehouse.lake import Lake
from lakehouse.session import run_concurrently
from lakehouse.steps import step
from lakehouse.tables.gold import RESTATEMENTS
from lakehouse.tables.metrics import PAIR_ACTIVITY, STORED_METRICS
from lakehouse.tables.model import StoredWindow, Table

LENGTHS: dict[StoredWindow, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
JSON_INSTANTS = {"timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'"}
# Stored values of restatements.cause: a row was added, changed or removed. Published rows keep theirs, so another word
# for one of them would split one cause into two.
LATE, MENDED, ERASED = "late", "mended", "erased"

# Rows of an activity table.
Figures: TypeAlias = DataFrame
# Per key of an activity table: `cause` and `offsets`.
Causes: TypeAlias = DataFrame
# Rows of gold.restatements without `snapshot_id`.
Differences: TypeAlias = DataFrame


@dataclass(frozen=True)
class ActivityTable:
    """A table whose published figures can be restated, and the length of its windows."""

    table: Table
    every: StoredWindow

    @property
    def name(self) -> str:
        """The full name of the table."""
        return self.table.full_name

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The key columns without the window."""
        return tuple(name for name in self.table.key if name != "window_at")

    @property
    def measures(self) -> tuple[str, ...]:
        """The columns that are compared."""
        return tuple(name for name in self.table.column_names if name not in (*self.table.key, "window_on"))

    def last_closed(self, now: datetime) -> datetime:
        """Return the latest start of a window that ends at or before an instant."""
        return now - LENGTHS[self.every]


ACTIVITY_TABLES = (
    ActivityTable(PAIR_ACTIVITY, "hour"),
    *(ActivityTable(metric.table, metric.stored) for metric in STORED_METRICS if metric.stored),
)


def tables_to_compare(changes: Changes) -> list[ActivityTable]:
    """Return the tables whose figures of closed windows can differ from the published ones.

    Most refreshes touch open windows only, and then no table is compared. After a rebuild all published tables that
    can still be read are compared.
    """
    last, first_event_at = changes.last, changes.summary.first_event_at
    if last is None or last.now is None:
        return []
    known = [each for each in ACTIVITY_TABLES if each.name in last.versions and each.name not in changes.unreadable]
    if changes.is_rebuild:
        return known
    now = last.now
    return [
        each for each in known if first_event_at and window_start(first_event_at, each.every) <= each.last_closed(now)
    ]


def published_figures(lake: Lake, changes: Changes) -> dict[str, Figures]:
    """Return the figures that the last snapshot published, by the name of each table to compare.

    Call it before the tables are written: Delta then still has the list of their files in memory. Later it would run
    Spark jobs to find them again.
    """
    versions = changes.last.versions if changes.last else {}
    return {each.name: lake.read(each.table, version=versions[each.name]) for each in tables_to_compare(changes)}


@step("Comparing with the last snapshot")
def write_restatements(lake: Lake, changes: Changes, *, published: Mapping[str, Figures]) -> None:
    """Append the restatements of the next snapshot, and delete those that a killed refresh has left.

    Args:
        lake: Its activity tables are those that the next snapshot will name.
        changes: What the refresh worked on.
        published: The figures of the last snapshot, by the name of each table to compare.
    """
    last = changes.last
    if last is None:
        return
    if lake.version(RESTATEMENTS) != last.versions.get(RESTATEMENTS.full_name):
        lake.delete(RESTATEMENTS, condition=f"snapshot_id > {last.id}")
    compared = [each for each in ACTIVITY_TABLES if each.name in published]
    if not compared:
        return
    # Planning a comparison takes longer than computing it, hence all at once.
    found = run_concurrently(
        lake.spark,
        *(
            partial(_computed_differences, lake, changes, activity=each, published=published[each.name])
            for each in compared
        ),
    )
    rows = reduce(DataFrame.unionByName, found).withColumn("snapshot_id", F.lit(last.id + 1).cast("long"))
    if not rows.isEmpty():
        lake.append(RESTATEMENTS, rows)


def differences(activity: ActivityTable, *, before: Figures, after: Figures, causes: Causes) -> Differences:
    """Return one row for each key whose figures differ, with its cause.

    Args:
        activity: The table.
        before: Its published rows.
        after: Its rows now.
        causes: Why they may differ; a key without a cause is `mended`.
    """
    key, measures = activity.table.key, activity.measures
    both = _prefixed(before, "old", names=(*key, *measures)).join(
        _prefixed(after, "new", names=(*key, *measures)), [_is_same(name) for name in key], "full"
    )
    differing = both.where(reduce(or_, (~_is_same(name) for name in measures))).select(
        *(F.coalesce(f"old_{name}", f"new_{name}").alias(name) for name in key),
        *(_changed_measures(side, measures).alias(f"{side}_values") for side in ("old", "new")),
    )
    reasons = causes.select(*(F.col(name).alias(f"cause_{name}") for name in key), "cause", "offsets")
    same_key = [F.col(name).eqNullSafe(F.col(f"cause_{name}")) for name in key]
    return differing.join(reasons, same_key, "left").select(
        F.lit(activity.name).alias("table_name"),
        F.to_json(F.struct(*activity.dimensions), {"ignoreNullFields": "false"}).alias("key"),
        *("window_at", "old_values", "new_values"),
        F.coalesce("cause", F.lit(MENDED)).alias("cause"),
        F.coalesce("offsets", F.lit("[]")).alias("offsets"),
    )


def causes_of(feed: ChangeFeed, activity: ActivityTable) -> Causes:
    """Return for each touched key why its figures may differ, and the Kafka offsets of the rows behind it."""
    key = activity.table.key
    counted: DataFrame = counted_events(feed, every=activity.every)
    change = F.col("_change_type")
    cause = F.when(change == "insert", LATE).when(change == "delete", ERASED).otherwise(MENDED)
    # Ranges of offsets stay small, however many rows there are.
    ranges = (
        counted.withColumn("cause", cause)
        .groupBy(*key, "topic", "partition")
        .agg(_common_cause(), F.min("offset").alias("first"), F.max("offset").alias("last"))
    )
    texts = F.format_string("%s:%d:%d-%d", "topic", "partition", "first", "last")
    return ranges.groupBy(*key).agg(_common_cause(), F.to_json(F.sort_array(F.collect_list(texts))).alias("offsets"))


def window_start(at: datetime, every: StoredWindow) -> datetime:
    """Return the start of the window that contains an instant."""
    hour = at.replace(minute=0, second=0, microsecond=0)
    return hour if every == "hour" else hour.replace(hour=0)


def _computed_differences(lake: Lake, changes: Changes, *, activity: ActivityTable, published: Figures) -> Differences:
    """Compare the closed windows of a table: all of them after a rebuild, otherwise those of the touched keys."""
    now = changes.last.now if changes.last else None
    is_closed = F.col("window_at") <= F.lit(activity.last_closed(now)) if now else F.lit(False)
    causes = causes_of(changes.feed, activity)
    before, after = published.where(is_closed), lake.read(activity.table).where(is_closed)
    if not changes.is_rebuild:
        closed_days = [day for day in changes.summary.metric_days if now and day <= now.date()]
        before, after = (
            semi_join(figures.where(F.col("window_on").isin(closed_days)), causes, on=activity.table.key)
            for figures in (before, after)
        )
    return lake.checkpoint(differences(activity, before=before, after=after, causes=causes))


def _common_cause() -> Column:
    """Return the cause that all rows of a group share, or `mended` if they have several."""
    return F.when(F.min("cause") == F.max("cause"), F.min("cause")).otherwise(MENDED).alias("cause")


def _prefixed(figures: Figures, side: str, *, names: Sequence[str]) -> DataFrame:
    return figures.select(*(F.col(name).alias(f"{side}_{name}") for name in names), F.lit(True).alias(f"has_{side}"))


def _is_same(name: str) -> Column:
    return F.col(f"old_{name}").eqNullSafe(F.col(f"new_{name}"))


def _changed_measures(side: str, measures: Sequence[str]) -> Column:
    """Return the measures that differ, as a JSON object; null if that side has no row."""
    values = (F.when(~_is_same(name), F.col(f"{side}_{name}")).alias(name) for name in measures)
    return F.when(F.col(f"has_{side}"), F.to_json(F.struct(*values), JSON_INSTANTS))
