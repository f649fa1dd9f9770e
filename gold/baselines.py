"""Detections of rules over baselines: evaluated for the entities that changed events touch, and the days after them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from functools import partial, reduce
from typing import TypeAlias, cast

import polars as pl
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.changes import Changes, days_per_commit
from gold.detect import ENTITY, published_detections, rows_of_entities
from gold.rules.baseline import BaselineRule
from gold.rules.evaluate_baselines import (
    FIRST,
    HOUR,
    JUDGED,
    SLICE_DAYS,
    detect_baselines_in_arrow,
    hours_of,
    slice_of,
)
from gold.transforms.first_seen import first_seen
from lakehouse.lake import Lake, anti_join, semi_join
from lakehouse.schema import struct_type
from lakehouse.session import run_concurrently
from lakehouse.steps import step
from lakehouse.tables.gold import CONFIRMED, DETECTIONS, FIRST_SEEN, RETRACTED

# Rows with the columns ENTITY.
Entities: TypeAlias = DataFrame
Detections: TypeAlias = DataFrame
# Rows of gold.first_seen.
Firsts: TypeAlias = DataFrame


def detections_over_baselines(changes: Changes, rules: Sequence[BaselineRule]) -> Detections:
    """Return all detections of the rules in all events, for a rebuild."""
    rows, firsts = rows_of_entities(changes.events, rules), first_seen(changes.events)
    return _find(rows, hours=rows, firsts=firsts, rules=rules, days=_days_read(changes, rules))


@step("Comparing with baselines")
def update_baseline_detections(
    lake: Lake, changes: Changes, *, rules: Sequence[BaselineRule], first_days: Iterable[date]
) -> None:
    """Replace the detections of the touched entities on the days that the changes can reach, where they differ.

    Args:
        lake: Its first logins are those that the next snapshot will name.
        changes: What the refresh works on.
        rules: The rules.
        first_days: The days on which a first login changed: rules compare later days with them.
    """
    reached = days_reached({*_days_read(changes, rules), *first_days}, rules, last=_last_day(changes))
    for days in days_per_commit(reached):
        _replace(lake, changes, rules=rules, days=days)


def days_reached(days: Iterable[date], rules: Sequence[BaselineRule], *, last: date | None) -> set[date]:
    """Return the days, up to the last one, whose detections events on the given days can change."""
    reach = range(max((rule.days_back for rule in rules), default=-1) + 1)
    reached = {day + timedelta(days=distance) for day in days for distance in reach}
    return {day for day in reached if last is not None and day <= last}


def _replace(lake: Lake, changes: Changes, *, rules: Sequence[BaselineRule], days: list[date]) -> None:
    """Evaluate the rules for the touched entities on these days, and replace the days with another result."""
    touched: Entities = lake.checkpoint(rows_of_entities(changes.feed, rules).select(*ENTITY).distinct())
    is_of_rules = F.col("rule").isin([rule.name for rule in rules])
    published = published_detections(lake, changes).where(is_of_rules & F.col("fired_on").isin(days))
    found, before = run_concurrently(
        lake.spark,
        partial(_collected, _found_for(lake, changes, touched=touched, rules=rules, days=days)),
        partial(_collected, semi_join(published, touched, on=ENTITY)),
    )
    after = _with_retracted(found, before, changes=changes)
    if not (differing := _differing_days(before, after)):
        return
    live = lake.read(DETECTIONS).where(F.col("fired_on").isin(differing))
    others = live.where(~is_of_rules).unionByName(anti_join(live.where(is_of_rules), touched, on=ENTITY))
    new = after.filter(pl.col("fired_on").is_in(differing)).to_arrow().cast(DETECTIONS.arrow_schema())
    rows = lake.spark.createDataFrame(new, struct_type(DETECTIONS))
    lake.replace_days(DETECTIONS, others.unionByName(rows), days=differing)


def _found_for(
    lake: Lake, changes: Changes, *, touched: Entities, rules: Sequence[BaselineRule], days: list[date]
) -> Detections:
    """Return the detections of the touched entities on these days."""
    days_back = max(rule.days_back for rule in rules)
    before = {day - timedelta(days=distance) for day in days for distance in range(days_back + 1)}

    def rows_on(read: Iterable[date]) -> DataFrame:
        events = changes.events.where(F.col("event_on").isin(sorted(read)))
        return semi_join(rows_of_entities(events, rules), touched, on=ENTITY)

    users = touched.where(F.col("entity_type") == "username").select(F.col("entity").alias("username"))
    firsts = semi_join(lake.read(FIRST_SEEN), users, on=("username",))
    return _find(rows_on(days), hours=rows_on(before), firsts=firsts, rules=rules, days=days)


def _find(
    judged: DataFrame, *, hours: DataFrame, firsts: Firsts, rules: Sequence[BaselineRule], days: Iterable[date]
) -> Detections:
    """Return the detections in rows of entities, found slice by slice, in as many buckets as a shuffle has partitions.

    Args:
        judged: Rows of entities on the judged days.
        hours: Rows of entities on these days and on those that the rules read before them.
        firsts: Rows of gold.first_seen, at least those of the users among the entities.
        rules: The rules.
        days: The judged days.
    """
    day = F.unix_date(F.to_date("event_at"))
    days_back = max(rule.days_back for rule in rules)
    slices = sorted({slice_of(each) for each in days})
    reached = F.sequence(_slice(day), _slice(day + F.lit(days_back)))
    later = F.filter(F.lit(slices), lambda number: number >= _slice(F.unix_date("first_on")))
    inputs = (
        judged.select("*", F.lit(JUDGED).alias("input"), _slice(day).alias("slice")),
        hours_of(hours, rules, key=ENTITY).select("*", F.lit(HOUR).alias("input"), F.explode(reached).alias("slice")),
        firsts.where("username IS NOT NULL").select(
            F.lit("username").alias("entity_type"),
            F.col("username").alias("entity"),
            "kind",
            "value",
            F.col("first_at").alias("event_at"),
            F.lit(FIRST).alias("input"),
            F.explode(later).alias("slice"),
        ),
    )
    rows: DataFrame = reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), inputs)
    buckets = int(cast("str", rows.sparkSession.conf.get("spark.sql.shuffle.partitions")))
    bucket = F.pmod(F.xxhash64(*ENTITY), F.lit(buckets))
    in_slices = rows.where(F.col("slice").isin(slices))
    grouped = in_slices.groupBy("slice", bucket)
    return grouped.applyInArrow(detect_baselines_in_arrow(rules), struct_type(DETECTIONS))


def _slice(day: Column) -> Column:
    return F.floor(day / F.lit(SLICE_DAYS)).cast("long")


def _collected(rows: DataFrame) -> pl.DataFrame:
    return pl.DataFrame(rows.toArrow())


def _with_retracted(found: pl.DataFrame, published: pl.DataFrame, *, changes: Changes) -> pl.DataFrame:
    """Return the detections found, and those that were published and are not found any more, marked as retracted."""
    gone = published.join(found, on=DETECTIONS.key, how="anti")
    next_id = changes.last.id + 1 if changes.last else 1
    marked = gone.with_columns(
        retracted_in=pl.when(pl.col("status") == CONFIRMED).then(next_id).otherwise("retracted_in"),
        status=pl.lit(RETRACTED),
    )
    return pl.concat([found, marked.select(found.columns).cast(found.schema)])


def _differing_days(before: pl.DataFrame, after: pl.DataFrame) -> list[date]:
    """Return the days whose detections differ."""
    both = pl.concat([before.cast(after.schema), after])
    differing = both.filter(~pl.struct(pl.all()).is_duplicated())
    return sorted(differing["fired_on"].unique())


def _days_read(changes: Changes, rules: Sequence[BaselineRule]) -> set[date]:
    return {day for rule in rules for day in changes.summary.rule_days.get(rule.name, ())}


def _last_day(changes: Changes) -> date | None:
    """Return the newest day with an event."""
    instants = (changes.summary.last_event_at, changes.last.last_event_at if changes.last else None)
    return max((instant.date() for instant in instants if instant is not None), default=None)
