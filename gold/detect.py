"""The table gold.detections: the rules, evaluated for the entities and days that changed events touch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from functools import reduce
from operator import or_
from typing import TypeAlias

import narwhals.stable.v2 as nw
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.changes import ChangeFeed, Changes, days_per_commit
from gold.rules.evaluate import CONTEXT_DAYS, by_entity, candidates, days_around, detect_in_arrow
from gold.rules.model import Rule
from lakehouse.lake import Lake, anti_join, semi_join
from lakehouse.schema import struct_type
from lakehouse.tables.gold import DETECTIONS

# Rules are evaluated for an entity and a day; all detections of such a key are replaced together.
EVALUATED = ("entity_type", "entity", "fired_on")

# Rows with the columns EVALUATED.
TouchedEntities: TypeAlias = DataFrame
Detections: TypeAlias = DataFrame


def write_detections(lake: Lake, changes: Changes, *, rules: Iterable[Rule]) -> None:
    """Write the detections: all of them in a rebuild, otherwise those of the touched entities and days."""
    if changes.is_rebuild:
        lake.overwrite(DETECTIONS, detections(changes.events, rules))
        return
    days_of = changes.summary.rule_days
    touched_days = {day for days in days_of.values() for day in days}
    # All rules of a touched entity column: the detections of an entity and day are replaced together.
    groups = [group for group in by_entity(rules).values() if any(days_of.get(rule.name) for rule in group)]
    for days in days_per_commit(days_around(touched_days)):
        _replace(lake, changes, rules=[rule for group in groups for rule in group], days=days)


def detections(events: DataFrame, rules: Iterable[Rule]) -> Detections:
    """Return all detections of the rules in rows of silver.events with any verdict: one pass per entity column."""
    return union(
        candidates(events, of_entity).groupBy(entity).applyInArrow(detect_in_arrow(of_entity), struct_type(DETECTIONS))
        for entity, of_entity in by_entity(rules).items()
    )


def touched_entities(feed: ChangeFeed, entity: str, *, rules: Iterable[Rule]) -> TouchedEntities:
    """Return the entities and days for which changed events can change the detections of rules of one entity column."""
    is_read = reduce(or_, (rule.reads() for rule in rules))
    read: DataFrame = nw.from_native(feed).filter(is_read).to_native()
    days = F.sequence(F.date_sub("event_on", CONTEXT_DAYS), F.date_add("event_on", CONTEXT_DAYS))
    return read.select(
        F.lit(entity).alias("entity_type"), F.col(entity).alias("entity"), F.explode(days).alias("fired_on")
    )


def union(frames: Iterable[DataFrame]) -> DataFrame:
    """Return the rows of all frames, of which there is at least one."""
    return reduce(DataFrame.unionByName, frames)


def _replace(lake: Lake, changes: Changes, *, rules: Sequence[Rule], days: list[date]) -> None:
    """Replace the detections of the touched entities on these days in one commit; write nothing if there are none."""
    events = changes.events.where(F.col("event_on").isin(days_around(days)))
    groups = by_entity(rules)
    touched = {entity: touched_entities(changes.feed, entity, rules=of_entity) for entity, of_entity in groups.items()}
    found = union(_detections_of(touched[entity], events, rules=of_entity) for entity, of_entity in groups.items())
    found = found.where(F.col("fired_on").isin(days)).localCheckpoint()
    published, keys = lake.read(DETECTIONS).where(F.col("fired_on").isin(days)), union(touched.values())
    if not (found.isEmpty() and semi_join(published, keys, on=EVALUATED).isEmpty()):
        lake.replace_days(DETECTIONS, anti_join(published, keys, on=EVALUATED).unionByName(found), days=days)


def _detections_of(touched: TouchedEntities, events: DataFrame, *, rules: Sequence[Rule]) -> Detections:
    """Return the detections of rules of one entity column for the touched entities and days."""
    entity = rules[0].entity
    entities = touched.select(F.col("entity").alias(entity))
    return semi_join(detections(semi_join(events, entities, on=[entity]), rules), touched, on=EVALUATED)
