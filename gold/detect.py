"""The table gold.detections: the rules, evaluated for the entities and days that changed events touch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import TypeAlias, cast

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.changes import Changes, days_per_commit
from gold.first_seen import FirstLogins
from gold.rules.baseline import over_baselines
from gold.rules.detections import CONTEXT_DAYS
from gold.rules.evaluate import SLICE_DAYS, by_entity, days_around, slice_of, with_masks
from gold.rules.evaluate_baselines import detect_in_arrow, hours_of
from gold.rules.model import AnyRule
from gold.touched import (
    ENTITY,
    Touched,
    days_reached,
    last_day,
    not_of_touched,
    of_touched,
    rows_of_entities,
    touched_entities,
)
from gold.transforms.first_seen import first_seen
from lakehouse.lake import Lake
from lakehouse.schema import struct_type
from lakehouse.steps import step
from lakehouse.tables.gold import DETECTIONS, RETRACTED

Detections: TypeAlias = DataFrame


@step("Detecting attacks")
def overwrite_detections(lake: Lake, changes: Changes, *, rules: Sequence[AnyRule]) -> None:
    """Replace all detections by those found in all events; published ones that are not found any more are retracted."""
    found = detections(changes.events, rules, days={day for days in changes.summary.rule_days.values() for day in days})
    after = with_retracted(found, published_detections(lake, changes), changes=changes)
    lake.overwrite(DETECTIONS, after.drop("is_changed"))


@step("Detecting attacks")
def update_detections(lake: Lake, changes: Changes, *, rules: Iterable[AnyRule], logins: FirstLogins) -> None:
    """Replace the detections of the touched entities on the days that the changes can reach, where they differ."""
    days_of = changes.summary.rule_days
    # All rules of a touched entity column: the detections of an entity and day are replaced together.
    groups = [group for group in by_entity(rules).values() if any(days_of.get(rule.name) for rule in group)]
    evaluated = [rule for group in groups for rule in group]
    if not evaluated:
        return
    touched: Touched = lake.checkpoint(touched_entities(changes, evaluated, logins=logins))
    reached = days_reached(evaluated, days_of, first_days=logins.changed_days, last=last_day(changes))
    marked: DataFrame = with_masks(changes.events, evaluated)
    for days in days_per_commit(reached):
        found = _found_for(marked, touched, rules=evaluated, logins=logins, days=days)
        _replace(lake, changes, touched=touched, found=found, days=days)


def detections(events: DataFrame, rules: Sequence[AnyRule], *, days: Iterable[date]) -> Detections:
    """Return all detections of the rules in rows of silver.events with any verdict, in one pass.

    Args:
        events: All of them.
        rules: Rules of any entity columns.
        days: The days of the rows that the rules read.
    """
    marked: DataFrame = with_masks(events, rules)
    compared = over_baselines(rules)
    earlier = rows_of_entities(marked, compared) if compared else None
    return _find(rows_of_entities(marked, rules), earlier=earlier, firsts=first_seen(events), rules=rules, days=days)


def published_detections(lake: Lake, changes: Changes) -> Detections:
    """Return the detections of the last snapshot: no rows if there is none, or if they can't be read."""
    name = DETECTIONS.full_name
    if changes.last is None or name not in changes.last.versions or name in changes.unreadable:
        return lake.spark.createDataFrame([], struct_type(DETECTIONS))
    return lake.read(DETECTIONS, version=changes.last.versions[name])


def with_retracted(found: Detections, published: Detections, *, changes: Changes) -> Detections:
    """Return the detections found, and those that were published and are not found any more, marked as retracted.

    Returns:
        The columns of gold.detections, and `is_changed`: whether a row differs from the published one.
    """
    next_id = F.lit(changes.last.id + 1 if changes.last else 1).cast("long")
    old = F.col("old")
    retracted_in = F.when(old["status"] == RETRACTED, old["retracted_in"]).otherwise(next_id)
    retracted = old.withField("status", F.lit(RETRACTED)).withField("retracted_in", retracted_in)
    both = _as_struct(found, "new").join(_as_struct(published, "old"), list(DETECTIONS.key), "full")
    after = both.select("old", F.coalesce("new", retracted).alias("after"))
    return after.select("after.*", (~F.col("after").eqNullSafe(old)).alias("is_changed"))


def _found_for(
    marked: DataFrame, touched: Touched, *, rules: Sequence[AnyRule], logins: FirstLogins, days: Sequence[date]
) -> Detections:
    """Return the detections of the touched entities on these days.

    Args:
        marked: All events, as `with_masks` returns them for the rules.
        touched: The entities.
        rules: The rules.
        logins: The first logins of the touched users.
        days: The judged days.
    """

    def rows_on(read: Iterable[date], rules: Sequence[AnyRule], *, before: int, after: int) -> DataFrame:
        rows = rows_of_entities(marked.where(F.col("event_on").isin(sorted(read))), rules)
        return of_touched(rows, touched, day=F.to_date("event_at"), before=before, after=after)

    rows = rows_on(days_around(days), rules, before=CONTEXT_DAYS, after=CONTEXT_DAYS)
    compared, earlier = over_baselines(rules), None
    if compared:
        back = max(rule.days_back for rule in compared)
        read = {day - timedelta(days=distance) for day in days for distance in range(back + 1)}
        earlier = rows_on(read, compared, before=back, after=0)
    firsts = logins.values.where("first_at IS NOT NULL")
    found = _find(rows, earlier=earlier, firsts=firsts, rules=rules, days=days).where(F.col("fired_on").isin(days))
    return of_touched(found, touched, day=F.col("fired_on"))


def _find(
    rows: DataFrame, *, earlier: DataFrame | None, firsts: DataFrame, rules: Sequence[AnyRule], days: Iterable[date]
) -> Detections:
    """Return the detections in rows of entities, found slice by slice, in as many buckets as a shuffle has partitions.

    A row is copied into each slice whose days it can affect.

    Args:
        rows: Rows of entities that the rules read, on the judged days and on the days around them.
        earlier: Rows of entities that the rules over baselines read, on the judged days and as far back as they
            compare; None without such rules.
        firsts: Rows with the columns of gold.first_seen's key and `first_at`, at least those of the users among the
            entities.
        rules: The rules.
        days: The judged days.
    """
    day = F.unix_date(F.to_date("event_at"))
    around = F.array_distinct(F.array(*(_slice(day + F.lit(shift)) for shift in (-CONTEXT_DAYS, CONTEXT_DAYS))))
    slices = sorted({slice_of(each) for each in days})
    events = rows.select("*", F.explode(around).alias("slice"))
    history = _history_of(firsts, slices)
    if earlier is not None:
        compared = over_baselines(rules)
        reached = F.sequence(_slice(day), _slice(day + F.lit(max(rule.days_back for rule in compared))))
        hours = hours_of(earlier, compared, key=ENTITY).select("*", F.explode(reached).alias("slice"))
        history = hours.unionByName(history, allowMissingColumns=True)
    buckets = int(cast("str", rows.sparkSession.conf.get("spark.sql.shuffle.partitions")))
    bucket = F.pmod(F.xxhash64(*ENTITY), F.lit(buckets))
    of_events, of_history = (
        inputs.where(F.col("slice").isin(slices)).groupBy("slice", bucket) for inputs in (events, history)
    )
    return of_events.cogroup(of_history).applyInArrow(detect_in_arrow(rules), struct_type(DETECTIONS))


def _history_of(firsts: DataFrame, slices: Sequence[int]) -> DataFrame:
    """Return first logins as history of their slice and of all later ones; a null user is not an entity."""
    later = F.filter(F.lit(slices), lambda number: number >= _slice(F.unix_date(F.to_date("first_at"))))
    return firsts.where("username IS NOT NULL").select(
        F.lit("username").alias("entity_type"),
        F.col("username").alias("entity"),
        "kind",
        "value",
        F.col("first_at").alias("event_at"),
        F.explode(later).alias("slice"),
    )


def _slice(day: Column) -> Column:
    return F.floor(day / F.lit(SLICE_DAYS)).cast("long")


def _replace(lake: Lake, changes: Changes, *, touched: Touched, found: Detections, days: Sequence[date]) -> None:
    """Replace the detections of the touched entities on these days, in one commit of the days that differ."""
    published = published_detections(lake, changes).where(F.col("fired_on").isin(days))
    fired_on = F.col("fired_on")
    compared = of_touched(published, touched, day=fired_on)
    after = lake.checkpoint(with_retracted(found, compared, changes=changes))
    differing = [row["fired_on"] for row in after.where("is_changed").select("fired_on").distinct().collect()]
    if differing:
        kept = not_of_touched(published, touched, day=fired_on).unionByName(after.drop("is_changed"))
        lake.replace_days(DETECTIONS, kept.where(fired_on.isin(differing)), days=differing)


def _as_struct(rows: Detections, name: str) -> DataFrame:
    return rows.select(*DETECTIONS.key, F.struct(*DETECTIONS.column_names).alias(name))
