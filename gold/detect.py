"""The table gold.detections: the rules, evaluated for the entities and days that changed events touch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from functools import reduce
from typing import TypeAlias

import narwhals.stable.v2 as nw
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.changes import ChangeFeed, Changes, days_per_commit
from gold.rules.evaluate import CONTEXT_DAYS, candidates, days_around, detect_in_arrow
from gold.rules.model import Rule
from lakehouse.lake import Lake, anti_join, semi_join
from lakehouse.schema import struct_type
from lakehouse.tables.gold import DETECTIONS

# A rule is evaluated for an entity and a day; all detections of such a key are replaced together.
EVALUATED = ("rule", "entity", "fired_on")

# Rows with the columns EVALUATED.
TouchedEntities: TypeAlias = DataFrame
Detections: TypeAlias = DataFrame


def write_detections(lake: Lake, changes: Changes, *, rules: Iterable[Rule]) -> None:
    """Write the detections: all of them in a rebuild, otherwise those of the touched entities and days."""
    if changes.is_rebuild:
        lake.overwrite(DETECTIONS, union(detections(changes.events, rule) for rule in rules))
        return
    touching = [rule for rule in rules if changes.summary.rule_days.get(rule.name)]
    touched_days = {day for rule in touching for day in changes.summary.rule_days[rule.name]}
    for days in days_per_commit(days_around(touched_days)):
        _replace(lake, changes, rules=touching, days=days)


def detections(events: DataFrame, rule: Rule) -> Detections:
    """Return all detections of a rule in rows of silver.events with any verdict."""
    read: DataFrame = candidates(events, rule)
    return read.groupBy(rule.entity).applyInArrow(detect_in_arrow(rule), struct_type(DETECTIONS))


def touched_entities(feed: ChangeFeed, rule: Rule) -> TouchedEntities:
    """Return the entities and days for which changed events can change the rule's detections."""
    read: DataFrame = nw.from_native(feed).filter(rule.reads()).to_native()
    days = F.sequence(F.date_sub("event_on", CONTEXT_DAYS), F.date_add("event_on", CONTEXT_DAYS))
    return read.select(
        F.lit(rule.name).alias("rule"), F.col(rule.entity).alias("entity"), F.explode(days).alias("fired_on")
    )


def union(frames: Iterable[DataFrame]) -> DataFrame:
    """Return the rows of all frames, of which there is at least one."""
    return reduce(DataFrame.unionByName, frames)


def _replace(lake: Lake, changes: Changes, *, rules: Sequence[Rule], days: list[date]) -> None:
    """Replace the detections of the touched entities on these days in one commit; write nothing if there are none."""
    touched = {rule: touched_entities(changes.feed, rule) for rule in rules}
    events = changes.events.where(F.col("event_on").isin(days_around(days)))
    found = union(_detections_of(entities, events, rule=rule) for rule, entities in touched.items())
    found = found.where(F.col("fired_on").isin(days)).localCheckpoint()
    published, keys = lake.read(DETECTIONS).where(F.col("fired_on").isin(days)), union(touched.values())
    if not (found.isEmpty() and semi_join(published, keys, on=EVALUATED).isEmpty()):
        lake.replace_days(DETECTIONS, anti_join(published, keys, on=EVALUATED).unionByName(found), days=days)


def _detections_of(touched: TouchedEntities, events: DataFrame, *, rule: Rule) -> Detections:
    """Return the detections of a rule for the touched entities and days."""
    entities = touched.select(F.col("entity").alias(rule.entity))
    return semi_join(detections(semi_join(events, entities, on=[rule.entity]), rule), touched, on=EVALUATED)
