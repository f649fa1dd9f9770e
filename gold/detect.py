"""The table gold.detections: the rules, evaluated for the entities and days that changed events touch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import reduce
from operator import or_
from typing import TypeAlias, cast

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.changes import Changes, days_per_commit
from gold.first_seen import FirstLogins
from gold.rules.baseline import over_baselines, over_events
from gold.rules.detections import CONTEXT_DAYS
from gold.rules.evaluate import SLICE_DAYS, by_entity, days_around, rows_read, slice_of
from gold.rules.evaluate_baselines import EVENT, FIRST, HOUR, detect_in_arrow, hours_of
from gold.rules.model import AnyRule
from gold.transforms.first_seen import first_seen
from lakehouse.joins import anti_join, semi_join
from lakehouse.lake import Lake
from lakehouse.schema import struct_type
from lakehouse.steps import step
from lakehouse.tables.gold import DETECTIONS, RETRACTED

# Rules are evaluated for an entity and a day; all detections of such a key are replaced together.
ENTITY = ("entity_type", "entity")

# Rows with the columns ENTITY.
Entities: TypeAlias = DataFrame
Detections: TypeAlias = DataFrame


@step("Detecting attacks")
def overwrite_detections(lake: Lake, changes: Changes, *, rules: Sequence[AnyRule]) -> None:
    """Replace all detections by those found in all events; those that were published are kept as retracted."""
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
    touched: Entities = lake.checkpoint(rows_of_entities(changes.feed, evaluated).select(*ENTITY).distinct())
    reached = days_reached(evaluated, days_of, first_days=logins.changed_days, last=_last_day(changes))
    for days in days_per_commit(reached):
        found = _found_for(changes, touched, rules=evaluated, logins=logins, days=days)
        _replace(lake, changes, touched=touched, found=found, days=days)


def detections(events: DataFrame, rules: Sequence[AnyRule], *, days: Iterable[date]) -> Detections:
    """Return all detections of the rules in rows of silver.events with any verdict, in one pass.

    Args:
        events: All of them.
        rules: Rules of any entity columns.
        days: The days of the rows that the rules read.
    """
    compared = over_baselines(rules)
    earlier = rows_of_entities(events, compared) if compared else None
    return _find(rows_of_entities(events, rules), earlier=earlier, firsts=first_seen(events), rules=rules, days=days)


def days_reached(
    rules: Iterable[AnyRule], days_of: Mapping[str, Iterable[date]], *, first_days: Iterable[date], last: date | None
) -> set[date]:
    """Return the days whose detections can change.

    Args:
        rules: The rules.
        days_of: The days of the changed events that each rule reads, by the rule's name.
        first_days: The days on which a first login changed: rules over baselines compare later days with them.
        last: The newest day with an event.
    """
    around = days_around(day for rule in over_events(rules) for day in days_of.get(rule.name, ()))
    later = {
        day + timedelta(days=distance)
        for rule in over_baselines(rules)
        for day in (*days_of.get(rule.name, ()), *first_days)
        for distance in range(rule.days_back + 1)
    }
    return {*around, *(day for day in later if last is not None and day <= last)}


def rows_of_entities(events: DataFrame, rules: Sequence[AnyRule]) -> DataFrame:
    """Return the rows that the rules read, once for each entity of theirs that a row is about.

    Args:
        events: Rows of silver.events with any verdict.
        rules: Rules of any entity columns.

    Returns:
        The columns of `rows_read`, `entity_type` and `entity`.
    """
    entities = (
        F.when(
            reduce(or_, (F.col(rule.name) for rule in of_entity)),
            F.struct(F.lit(entity).alias("entity_type"), F.col(entity).alias("entity")),
        )
        for entity, of_entity in by_entity(rules).items()
    )
    rows: DataFrame = rows_read(events, rules)
    return rows.select("*", F.inline(F.array_compact(F.array(*entities))))


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
    changes: Changes, touched: Entities, *, rules: Sequence[AnyRule], logins: FirstLogins, days: Sequence[date]
) -> Detections:
    """Return the detections of the touched entities on these days."""

    def rows_on(read: Iterable[date], rules: Sequence[AnyRule]) -> DataFrame:
        events = changes.events.where(F.col("event_on").isin(sorted(read)))
        return semi_join(rows_of_entities(events, rules), touched, on=ENTITY)

    compared, earlier = over_baselines(rules), None
    if compared:
        reach = range(max(rule.days_back for rule in compared) + 1)
        earlier = rows_on({day - timedelta(days=distance) for day in days for distance in reach}, compared)
    rows, firsts = rows_on(days_around(days), rules), logins.values.where("first_at IS NOT NULL")
    return _find(rows, earlier=earlier, firsts=firsts, rules=rules, days=days).where(F.col("fired_on").isin(days))


def _find(
    rows: DataFrame, *, earlier: DataFrame | None, firsts: DataFrame, rules: Sequence[AnyRule], days: Iterable[date]
) -> Detections:
    """Return the detections in rows of entities, found slice by slice, in as many buckets as a shuffle has partitions.

    A row is in each slice for whose days it can matter.

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
    around = F.array_distinct(F.array(*(_slice(day + F.lit(days)) for days in (-CONTEXT_DAYS, CONTEXT_DAYS))))
    slices = sorted({slice_of(each) for each in days})
    inputs = rows.select("*", F.lit(EVENT).alias("input"), F.explode(around).alias("slice"))
    if earlier is not None:
        compared = over_baselines(rules)
        reached = F.sequence(_slice(day), _slice(day + F.lit(max(rule.days_back for rule in compared))))
        hours = hours_of(earlier, compared, key=ENTITY)
        for more in (
            hours.select("*", F.lit(HOUR).alias("input"), F.explode(reached).alias("slice")),
            _inputs_of_firsts(firsts, slices),
        ):
            inputs = inputs.unionByName(more, allowMissingColumns=True)
    buckets = int(cast("str", rows.sparkSession.conf.get("spark.sql.shuffle.partitions")))
    bucket = F.pmod(F.xxhash64(*ENTITY), F.lit(buckets))
    in_slices = inputs.where(F.col("slice").isin(slices)).groupBy("slice", bucket)
    return in_slices.applyInArrow(detect_in_arrow(rules), struct_type(DETECTIONS))


def _inputs_of_firsts(firsts: DataFrame, slices: Sequence[int]) -> DataFrame:
    """Return first logins as inputs of their slice and of all later ones; a null user is not an entity."""
    later = F.filter(F.lit(slices), lambda number: number >= _slice(F.unix_date(F.to_date("first_at"))))
    return firsts.where("username IS NOT NULL").select(
        F.lit("username").alias("entity_type"),
        F.col("username").alias("entity"),
        "kind",
        "value",
        F.col("first_at").alias("event_at"),
        F.lit(FIRST).alias("input"),
        F.explode(later).alias("slice"),
    )


def _slice(day: Column) -> Column:
    return F.floor(day / F.lit(SLICE_DAYS)).cast("long")


def _replace(lake: Lake, changes: Changes, *, touched: Entities, found: Detections, days: Sequence[date]) -> None:
    """Replace the detections of the touched entities on these days, in one commit of the days that differ."""
    published = published_detections(lake, changes).where(F.col("fired_on").isin(days))
    of_touched = semi_join(published, touched, on=ENTITY)
    after = lake.checkpoint(with_retracted(found, of_touched, changes=changes))
    differing = [row["fired_on"] for row in after.where("is_changed").select("fired_on").distinct().collect()]
    if differing:
        kept = anti_join(published, touched, on=ENTITY).unionByName(after.drop("is_changed"))
        lake.replace_days(DETECTIONS, kept.where(F.col("fired_on").isin(differing)), days=differing)


def _as_struct(rows: Detections, name: str) -> DataFrame:
    return rows.select(*DETECTIONS.key, F.struct(*DETECTIONS.column_names).alias(name))


def _last_day(changes: Changes) -> date | None:
    """Return the newest day with an event."""
    instants = (changes.summary.last_event_at, changes.last.last_event_at if changes.last else None)
    return max((instant.date() for instant in instants if instant is not None), default=None)
