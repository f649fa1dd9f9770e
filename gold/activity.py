"""The activity tables of gold: the base `pair_activity_hourly` and the stored metrics."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import TypeAlias

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.changes import ChangeFeed, Changes, days_per_commit
from gold.transforms.base import counted_events, pair_activity_hourly
from gold.transforms.metrics import metric_rows
from lakehouse.joins import anti_join, semi_join
from lakehouse.lake import Lake
from lakehouse.session import run_concurrently
from lakehouse.steps import step
from lakehouse.tables.metrics import PAIR_ACTIVITY, STORED_METRICS
from lakehouse.tables.model import Metric

# Rows of gold.pair_activity_hourly, and their keys alone.
Pairs: TypeAlias = DataFrame
PairKeys: TypeAlias = DataFrame


@step("Counting logins")
def write_activity(lake: Lake, changes: Changes) -> None:
    """Write the base and the stored metrics: all of them in a rebuild, otherwise the days that changed."""
    if changes.is_rebuild:
        _rebuild(lake, changes.events)
    else:
        _update(lake, changes)


def stored_rows(metric: Metric, base: Pairs) -> DataFrame:
    """Return the rows of a metric, for the window that it is stored by."""
    rows: DataFrame = metric_rows(metric, base, every=metric.stored or "day")
    return rows


def touched_pairs(feed: ChangeFeed) -> PairKeys:
    """Return the keys of the base that changed rows fall into."""
    counted: DataFrame = counted_events(feed)
    return counted.select(*PAIR_ACTIVITY.key)


def _rebuild(lake: Lake, events: DataFrame) -> None:
    lake.overwrite(PAIR_ACTIVITY, pair_activity_hourly(events))
    base = lake.read(PAIR_ACTIVITY)
    run_concurrently(
        lake.spark, *(partial(lake.overwrite, metric.table, stored_rows(metric, base)) for metric in STORED_METRICS)
    )


def _update(lake: Lake, changes: Changes) -> None:
    """Recompute the touched keys of the base, then the stored metrics of their days. Running it twice changes nothing.

    Each table is replaced for whole days: a MERGE by key would read and write the same files, since each file holds
    many keys, and takes longer to plan.
    """
    touched = touched_pairs(changes.feed)
    for days in days_per_commit(changes.summary.metric_days):
        counted: DataFrame = counted_events(changes.events.where(F.col("event_on").isin(days)))
        recomputed = pair_activity_hourly(semi_join(counted, touched, on=PAIR_ACTIVITY.key))
        published = lake.read(PAIR_ACTIVITY).where(F.col("window_on").isin(days))
        # Not persist(): Spark would compute it again as soon as the base, which it reads, is written.
        base = lake.checkpoint(anti_join(published, touched, on=PAIR_ACTIVITY.key).unionByName(recomputed))
        run_concurrently(
            lake.spark,
            partial(lake.replace_days, PAIR_ACTIVITY, base, days=days),
            *(partial(_replace_metric, lake, metric, base=base, days=days) for metric in STORED_METRICS),
        )


def _replace_metric(lake: Lake, metric: Metric, *, base: Pairs, days: list[date]) -> None:
    lake.replace_days(metric.table, stored_rows(metric, base), days=days)
