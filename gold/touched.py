"""Which entities the changed events touch, and on which days their detections can change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import reduce
from operator import or_
from typing import TypeAlias

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.changes import Changes
from gold.first_seen import FirstLogins
from gold.rules.baseline import BaselineRule, over_baselines, over_events
from gold.rules.detections import CONTEXT_DAYS
from gold.rules.evaluate import by_entity, days_around, rows_read
from gold.rules.model import AnyRule

# Rules are evaluated for an entity and a day.
ENTITY = ("entity_type", "entity")

# One row per entity: ENTITY, `first_day` and `last_day`. All its detections on the days between them are replaced
# together; on other days they can't change.
Touched: TypeAlias = DataFrame


def rows_of_entities(marked: DataFrame, rules: Sequence[AnyRule]) -> DataFrame:
    """Return the rows that the rules read, once for each entity of theirs that a row is about.

    Args:
        marked: Rows of silver.events as `with_masks` returns them for at least these rules.
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
    rows: DataFrame = rows_read(marked, rules)
    return rows.select("*", F.inline(F.array_compact(F.array(*entities))))


def touched_entities(changes: Changes, rules: Sequence[AnyRule], *, logins: FirstLogins) -> Touched:
    """Return the entities of the changed events that the rules read, and the users whose first logins changed."""
    day, newest = F.to_date("event_at"), last_day(changes)
    reads = [(rule, (F.col("entity_type") == rule.entity) & F.col(rule.name)) for rule in rules]
    rows = rows_of_entities(changes.feed, rules)
    spans = rows.select(*ENTITY, *_reached(reads, from_day=day, to_day=day, newest=newest))
    if of_users := [rule for rule in over_baselines(rules) if rule.entity == "username"]:
        old, new = F.to_date("old_at"), F.to_date("first_at")
        depend = [(rule, F.lit(True)) for rule in of_users]
        users = logins.changed.where("username IS NOT NULL").select(
            F.lit("username").alias("entity_type"),
            F.col("username").alias("entity"),
            *_reached(depend, from_day=F.least(old, new), to_day=F.greatest(old, new), newest=newest),
        )
        spans = spans.unionByName(users)
    return spans.groupBy(*ENTITY).agg(F.min("first_day").alias("first_day"), F.max("last_day").alias("last_day"))


def days_reached(
    rules: Iterable[AnyRule], days_of: Mapping[str, Iterable[date]], *, first_days: Iterable[date], last: date | None
) -> set[date]:
    """Return the days whose detections can change for any entity.

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


def of_touched(rows: DataFrame, touched: Touched, *, day: Column, before: int = 0, after: int = 0) -> DataFrame:
    """Return the rows of touched entities, on days when their detections can change and on some days around these.

    Args:
        rows: Rows with the columns of ENTITY.
        touched: The entities.
        day: The day of a row.
        before: How many days before the first day are wanted, too.
        after: How many days after the last one.
    """
    return rows.join(_renamed(touched), _is_touched(day, before=before, after=after), "left_semi")


def not_of_touched(rows: DataFrame, touched: Touched, *, day: Column) -> DataFrame:
    """Return the rows of other entities, and of touched ones on days when their detections can't change."""
    return rows.join(_renamed(touched), _is_touched(day), "left_anti")


def last_day(changes: Changes) -> date | None:
    """Return the newest day with an event."""
    instants = (changes.summary.last_event_at, changes.last.last_event_at if changes.last else None)
    return max((instant.date() for instant in instants if instant is not None), default=None)


def _renamed(touched: Touched) -> DataFrame:
    return touched.select(*(F.col(name).alias(f"touched_{name}") for name in ENTITY), "first_day", "last_day")


def _is_touched(day: Column, *, before: int = 0, after: int = 0) -> list[Column]:
    is_same = [F.col(f"touched_{name}") == F.col(name) for name in ENTITY]
    return [*is_same, day.between(F.date_sub("first_day", before), F.date_add("last_day", after))]


def _reached(
    reads: Iterable[tuple[AnyRule, Column]], *, from_day: Column, to_day: Column, newest: date | None
) -> tuple[Column, Column]:
    """Return the first and the last day whose detections can change because of changes between two days.

    Args:
        reads: Rules, each with whether it depends on the changes.
        from_day: The first day of the changes.
        to_day: Their last day.
        newest: The newest day with an event.
    """
    by_distance: dict[tuple[int, int], Column] = {}
    for rule, is_read in reads:
        distance = (0, rule.days_back) if isinstance(rule, BaselineRule) else (CONTEXT_DAYS, CONTEXT_DAYS)
        by_distance[distance] = by_distance[distance] | is_read if distance in by_distance else is_read
    nothing = F.lit(None).cast("date")  # null does not count
    first_days = (F.when(is_read, F.date_sub(from_day, before)) for (before, _), is_read in by_distance.items())
    last_days = (F.when(is_read, F.date_add(to_day, after)) for (_, after), is_read in by_distance.items())
    last_reached = F.least(F.greatest(nothing, *last_days), F.lit(newest).cast("date"))
    return F.least(nothing, *first_days).alias("first_day"), last_reached.alias("last_day")
