"""The table gold.detections: the rules, evaluated for the entities and days that changed events touch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from functools import reduce
from operator import or_
from typing import TypeAlias, cast

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.changes import ChangeFeed, Changes, days_per_commit
from gold.rules import Rules
from gold.rules.detections import CONTEXT_DAYS
from gold.rules.evaluate import SLICE_DAYS, by_entity, days_around, detect_in_arrow, rows_read
from gold.rules.model import AnyRule, Rule
from lakehouse.lake import Lake, anti_join, semi_join
from lakehouse.schema import struct_type
from lakehouse.steps import step
from lakehouse.tables.gold import DETECTIONS, RETRACTED

# Rules are evaluated for an entity and a day; all detections of such a key are replaced together.
ENTITY = ("entity_type", "entity")
EVALUATED = (*ENTITY, "fired_on")

# Rows with the columns EVALUATED.
TouchedEntities: TypeAlias = DataFrame
Detections: TypeAlias = DataFrame


@step("Detecting attacks")
def overwrite_detections(lake: Lake, changes: Changes, *, found: Detections) -> None:
    """Replace all detections by those found in a rebuild; those that were published are kept as retracted."""
    lake.overwrite(DETECTIONS, _with_retracted(found, published_detections(lake, changes), changes=changes))


@step("Detecting attacks")
def update_detections(lake: Lake, changes: Changes, *, rules: Rules) -> None:
    """Replace the detections of the rules over events, for the touched entities and days."""
    days_of = changes.summary.rule_days
    # All rules of a touched entity column: the detections of an entity and day are replaced together.
    groups = [group for group in by_entity(rules.over_events).values() if any(days_of.get(rule.name) for rule in group)]
    evaluated = [rule for group in groups for rule in group]
    touched_days = {day for rule in evaluated for day in days_of.get(rule.name, ())}
    others = [rule.name for rule in rules.over_baselines]
    for days in days_per_commit(days_around(touched_days)):
        _replace(lake, changes, rules=evaluated, others=others, days=days)


def detections(events: DataFrame, rules: Iterable[Rule]) -> Detections:
    """Return all detections of the rules in rows of silver.events with any verdict, in one pass."""
    rules = tuple(rules)
    return _find(rows_of_entities(events, rules), rules)


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


def touched_entities(feed: ChangeFeed, rules: Sequence[Rule]) -> TouchedEntities:
    """Return the entities and days for which changed events can change the detections of the rules."""
    day = F.to_date("event_at")
    days = F.sequence(F.date_sub(day, CONTEXT_DAYS), F.date_add(day, CONTEXT_DAYS))
    return rows_of_entities(feed, rules).select("entity_type", "entity", F.explode(days).alias("fired_on"))


def _find(rows: DataFrame, rules: Sequence[Rule]) -> Detections:
    """Return the detections in rows of entities, found slice by slice, in as many buckets as a shuffle has partitions.

    A row is in each slice for whose days it can matter.
    """
    day = F.unix_date(F.to_date("event_at"))
    slices = F.array_distinct(
        F.array(*(F.floor((day + F.lit(days)) / SLICE_DAYS) for days in (-CONTEXT_DAYS, CONTEXT_DAYS)))
    )
    buckets = int(cast("str", rows.sparkSession.conf.get("spark.sql.shuffle.partitions")))
    bucket = F.pmod(F.xxhash64("entity_type", "entity"), F.lit(buckets))
    in_slices = rows.select("*", F.explode(slices).alias("slice"))
    return in_slices.groupBy("slice", bucket).applyInArrow(detect_in_arrow(rules), struct_type(DETECTIONS))


def published_detections(lake: Lake, changes: Changes) -> Detections:
    """Return the detections of the last snapshot: no rows if there is none, or if they can't be read."""
    name = DETECTIONS.full_name
    if changes.last is None or name not in changes.last.versions or name in changes.unreadable:
        return lake.spark.createDataFrame([], struct_type(DETECTIONS))
    return lake.read(DETECTIONS, version=changes.last.versions[name])


def _replace(lake: Lake, changes: Changes, *, rules: Sequence[Rule], others: Sequence[str], days: list[date]) -> None:
    """Replace the detections of the touched entities on these days in one commit; write nothing if there are none.

    Those of the rules named in `others` stay as they are.
    """
    rows = rows_of_entities(changes.events.where(F.col("event_on").isin(days_around(days))), rules)
    touched = touched_entities(changes.feed, rules)
    found = _find(semi_join(rows, touched, on=ENTITY), rules).where(F.col("fired_on").isin(days))
    found = lake.checkpoint(semi_join(found, touched, on=EVALUATED))
    published = published_detections(lake, changes).where(F.col("fired_on").isin(days))
    of_others = F.col("rule").isin(others)
    of_touched = semi_join(published.where(~of_others), touched, on=EVALUATED)
    if not (found.isEmpty() and of_touched.where(F.col("status") != RETRACTED).isEmpty()):
        kept = anti_join(published.where(~of_others), touched, on=EVALUATED).unionByName(published.where(of_others))
        lake.replace_days(DETECTIONS, kept.unionByName(_with_retracted(found, of_touched, changes=changes)), days=days)


def _with_retracted(found: Detections, published: Detections, *, changes: Changes) -> Detections:
    """Return the detections found, and those that were published and are not found any more, marked as retracted."""
    gone = anti_join(published, found, on=DETECTIONS.key)
    next_id = F.lit(changes.last.id + 1 if changes.last else 1).cast("long")
    retracted_in = F.when(F.col("status") == RETRACTED, F.col("retracted_in")).otherwise(next_id)
    marked = gone.withColumns({"retracted_in": retracted_in, "status": F.lit(RETRACTED)})
    return found.unionByName(marked)
