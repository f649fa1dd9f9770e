"""Restatements: which published figures of closed windows the next snapshot changes, from what to what, and why.

A window is closed when it ends at or before the last snapshot's now. What changed is the difference between the tables
as the last snapshot names them and as they are now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial, reduce
from operator import or_
from typing import TypeAlias

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.changes import ChangeSummary, is_counted
from lakehouse.lake import Lake, is_below, matching
from lakehouse.session import run_concurrently
from lakehouse.snapshots import Snapshot
from lakehouse.tables.gold import PAIR_ACTIVITY, RESTATEMENTS, STORED_METRICS
from lakehouse.tables.model import Table, Window

LENGTHS: dict[Window, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
INSTANTS = {"timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'"}
LATE, MENDED, ERASED = "late", "mended", "erased"


@dataclass(frozen=True)
class Restated:
    """A table whose figures are held against those published before."""

    table: Table
    every: Window

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The key beside the window."""
        return tuple(name for name in self.table.key if name != "window_at")

    @property
    def measures(self) -> tuple[str, ...]:
        """The figures."""
        return tuple(name for name in self.table.column_names if name not in (*self.table.key, "window_on"))

    def last_closed(self, now: datetime) -> datetime:
        """The latest start of a window that ends at or before that instant."""
        return now - LENGTHS[self.every]


# By the name of the table.
Figures: TypeAlias = Mapping[str, DataFrame]

RESTATED = (
    Restated(PAIR_ACTIVITY, "hour"),
    *(Restated(metric.table, metric.stored) for metric in STORED_METRICS if metric.stored),
)


def touched_tables(last: Snapshot, span: ChangeSummary) -> list[Restated]:
    """Those with a closed window that changed rows of that span may fall into.

    Most refreshes touch open windows alone; those of a day are open when those of its hours are closed.
    """
    now, since = last.now, span.first_event_at
    return [each for each in RESTATED if now and since and window_of(since, each.every) <= each.last_closed(now)]


def published_figures(lake: Lake, last: Snapshot, *, tables: Sequence[Restated]) -> Figures:
    """The figures of these tables as the snapshot names them.

    Best asked for before the tables are written: Delta knows their files then, and later looks for them by Spark jobs.
    """
    named = {each.table.full_name: each.table for each in tables}
    return {name: lake.read(table, version=last.versions[name]) for name, table in named.items()}


def restate_touched(lake: Lake, last: Snapshot, *, figures: Figures, changed: DataFrame, span: ChangeSummary) -> None:
    """Notes the restatements of the figures that changed rows fall into.

    Args:
        lake: Its tables, as the next snapshot will name them.
        last: The snapshot before.
        figures: Those of that snapshot, which they are held against, of the tables that may differ.
        changed: The change feed of silver since then.
        span: What that spans.
    """
    closed_days = [day for day in span.counted_on if last.now and day <= last.now.date()]

    def touched_differences(restated: Restated) -> DataFrame:
        causes = causes_of(changed, restated)
        before, after = (
            matching(closed.where(F.col("window_on").isin(closed_days)), causes, key=restated.table.key)
            for closed in closed_figures(lake, last, restated=restated, published=figures[restated.table.full_name])
        )
        return differences(restated, before=before, after=after, causes=causes)

    touched = [restated for restated in RESTATED if restated.table.full_name in figures]
    note(lake, last, tables=touched, differing=touched_differences)


def restate_all(lake: Lake, last: Snapshot, *, events: DataFrame, lost: Sequence[str]) -> None:
    """Notes the restatements of all figures, after a rebuild.

    Args:
        lake: Its tables, as the next snapshot will name them.
        last: The snapshot whose figures they are held against.
        events: All of silver.
        lost: Tables that can't be read any more as that snapshot names them; nothing is said of these.
    """
    readable = [each for each in RESTATED if last.now and each.table.full_name not in lost]
    figures = published_figures(lake, last, tables=readable)
    came = events.where(~is_below(last.offsets)).withColumn("_change_type", F.lit("insert"))

    def all_differences(restated: Restated) -> DataFrame:
        before, after = closed_figures(lake, last, restated=restated, published=figures[restated.table.full_name])
        return differences(restated, before=before, after=after, causes=causes_of(came, restated))

    note(lake, last, tables=readable, differing=all_differences)


def note(lake: Lake, last: Snapshot, *, tables: Sequence[Restated], differing: Callable[[Restated], DataFrame]) -> None:
    """Writes the restatements of the next snapshot, in the place of those that a killed refresh has left.

    Args:
        lake: Where they go.
        last: The snapshot before.
        tables: Those that may differ from it.
        differing: Gives the restatements of one; at once, since planning them takes longer than computing them.
    """
    if lake.version(RESTATEMENTS) != last.versions.get(RESTATEMENTS.full_name):
        lake.delete(RESTATEMENTS, condition=f"snapshot_id > {last.id}")
    if not tables:
        return

    def computed(table: Restated) -> DataFrame:
        return differing(table).localCheckpoint()

    found = run_concurrently(lake.spark, *(partial(computed, table) for table in tables))
    rows = reduce(DataFrame.unionByName, found).withColumn("snapshot_id", F.lit(last.id + 1).cast("long"))
    if not rows.isEmpty():
        lake.append(RESTATEMENTS, rows)


def closed_figures(
    lake: Lake, last: Snapshot, *, restated: Restated, published: DataFrame
) -> tuple[DataFrame, DataFrame]:
    """The figures of closed windows as they were published last, and as they are now."""
    is_closed = F.col("window_at") <= F.lit(restated.last_closed(last.now)) if last.now else F.lit(False)
    return published.where(is_closed), lake.read(restated.table).where(is_closed)


def differences(restated: Restated, *, before: DataFrame, after: DataFrame, causes: DataFrame) -> DataFrame:
    """The restatements of one table: a row for each key whose figures differ, without the snapshot's id."""
    key, measures = restated.table.key, restated.measures
    both = _named(before, "old", names=(*key, *measures)).join(
        _named(after, "new", names=(*key, *measures)), [_same(name) for name in key], "full"
    )
    differing = both.where(reduce(or_, (~_same(name) for name in measures)))
    told = differing.select(
        F.lit(restated.table.full_name).alias("table_name"),
        *(F.coalesce(f"old_{name}", f"new_{name}").alias(name) for name in key),
        *(_changed_values(side, measures).alias(f"{side}_values") for side in ("old", "new")),
    )
    why = causes.select(*(F.col(name).alias(f"cause_{name}") for name in key), "cause", "offsets")
    same_key = [F.col(name).eqNullSafe(F.col(f"cause_{name}")) for name in key]
    return told.join(why, same_key, "left").select(
        "table_name",
        F.to_json(F.struct(*restated.dimensions), {"ignoreNullFields": "false"}).alias("key"),
        *("window_at", "old_values", "new_values"),
        F.coalesce("cause", F.lit(MENDED)).alias("cause"),
        F.coalesce("offsets", F.lit("[]")).alias("offsets"),
    )


def causes_of(changed: DataFrame, restated: Restated) -> DataFrame:
    """Per key of the table why its figures may differ, and the Kafka offsets of the rows that came, changed or went."""
    key = restated.table.key
    counted = changed.where((F.col("verdict") == "accepted") & is_counted())
    feed = F.col("_change_type")
    caused = counted.withColumn("window_at", F.date_trunc(restated.every, "event_at")).withColumn(
        "cause", F.when(feed == "insert", LATE).when(feed == "delete", ERASED).otherwise(MENDED)
    )
    # Ranges keep it small, however many rows there are.
    ranges = caused.groupBy(*key, "topic", "partition").agg(
        _shared_cause(), F.min("offset").alias("first"), F.max("offset").alias("last")
    )
    written = F.format_string("%s:%d:%d-%d", "topic", "partition", "first", "last")
    return ranges.groupBy(*key).agg(_shared_cause(), F.to_json(F.sort_array(F.collect_list(written))).alias("offsets"))


def window_of(at: datetime, every: Window) -> datetime:
    """The start of the window that an instant lies in."""
    hour = at.replace(minute=0, second=0, microsecond=0)
    return hour if every == "hour" else hour.replace(hour=0)


def _shared_cause() -> Column:
    """The cause that all rows have; where they differ, the figure was mended."""
    return F.when(F.min("cause") == F.max("cause"), F.min("cause")).otherwise(MENDED).alias("cause")


def _named(figures: DataFrame, side: str, *, names: Sequence[str]) -> DataFrame:
    return figures.select(
        *(F.col(name).alias(f"{side}_{name}") for name in names), F.lit(True).alias(f"{side}_is_there")
    )


def _same(name: str) -> Column:
    return F.col(f"old_{name}").eqNullSafe(F.col(f"new_{name}"))


def _changed_values(side: str, measures: Sequence[str]) -> Column:
    """The measures that differ, as a JSON object; null where that side has no row."""
    values = (F.when(~_same(name), F.col(f"{side}_{name}")).alias(name) for name in measures)
    return F.when(F.col(f"{side}_is_there"), F.to_json(F.struct(*values), INSTANTS))
