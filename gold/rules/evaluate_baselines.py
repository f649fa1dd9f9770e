"""Evaluate rules over baselines: from rows of silver.events and gold.first_seen to the rows of gold.detections.

A rule is evaluated for an entity and a UTC day. It gets the events of the day, how many each hour had on the days
before, and the first logins of a user. All events at which it fires on the day are one detection. The result depends on
nothing else, whichever process computes it and whatever other entities and days it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl
import pyarrow as pa

from gold.rules.baseline import Baseline, BaselineRule, over_baselines, over_events
from gold.rules.detections import Detection, rows_of
from gold.rules.evaluate import by_entity, days_of_slice, detect, detections_in, rows_read
from gold.rules.model import EVENT_COLUMNS, AnyRule
from gold.transforms.first_seen import first_seen
from lakehouse.tables.bronze import POSITION
from lakehouse.tables.gold import DETECTIONS

# What a row of the input is: an event, the events of an hour together, or a first login.
EVENT, HOUR, FIRST = "event", "hour", "first"


def detect_all(events: pl.LazyFrame, rules: Iterable[AnyRule]) -> pa.Table:
    """Return all detections of rules of both kinds in rows of silver.events with any verdict, without Spark."""
    rules = tuple(rules)
    found = [DETECTIONS.arrow_schema().empty_table()]
    found += [detect(events, over_events(rules))] if over_events(rules) else []
    found += [detect_baselines(events, over_baselines(rules))] if over_baselines(rules) else []
    return pa.concat_tables(found)


def detect_baselines(events: pl.LazyFrame, rules: Iterable[BaselineRule]) -> pa.Table:
    """Return all detections of rules over baselines in rows of silver.events, without Spark.

    Args:
        events: Rows of silver.events with any verdict.
        rules: Rules of any entity columns.
    """
    rules = tuple(rules)
    rows: pl.DataFrame = rows_read(events, rules).collect()
    firsts = first_seen(events).collect()
    found: list[Detection] = []
    for entity, of_entity in by_entity(rules).items():
        judged = rows.with_columns(entity=entity).filter(pl.any_horizontal(rule.name for rule in of_entity))
        hours = hours_of(judged, of_entity, key=("entity",))
        inputs = [judged.with_columns(input=pl.lit(EVENT)), hours.with_columns(input=pl.lit(HOUR)).collect()]
        if entity == "username":
            inputs.append(_firsts(firsts))
        found += baseline_detections_in(pl.concat(inputs, how="diagonal"), of_entity)
    return pa.Table.from_pylist(found, schema=DETECTIONS.arrow_schema())


def hours_of(rows: Any, rules: Sequence[BaselineRule], *, key: Sequence[str]) -> Any:
    """Return how many occurrences each hour had that the same rules read.

    Args:
        rows: Rows as `rows_read` returns them, with the columns of `key`, as a native frame of Spark or polars.
        rules: The rules.
        key: The columns of the entity.

    Returns:
        A lazy frame of the same engine: the columns of `key`, `event_at` with the start of the hour, `times` with the
        occurrences, and for each rule whether it reads them.
    """
    masks = [rule.name for rule in rules]
    hours = nw.from_native(rows).lazy().with_columns(event_at=nw.col("event_at").dt.truncate("1h"))
    grouped = hours.group_by(*key, "event_at", *masks).agg(times=nw.col("times").sum())
    return grouped.with_columns(times=nw.col("times").cast(nw.Int64)).to_native()


def detect_in_arrow(rules: Sequence[AnyRule]) -> Callable[[pa.Table], pa.Table]:
    """Return the rules of both kinds as a function from an Arrow table to the detections in it, for Spark.

    The table has inputs, as `baseline_detections_in` gets them, with `entity_type`, and `slice` with one number in all
    rows. Of each entity in it, it has all events on the slice's days and on the days around them, and all that rules
    over baselines compare these days with.
    """
    by_type = by_entity(rules)

    def detect_in_slice(table: pa.Table) -> pa.Table:
        inputs = pl.DataFrame(table)
        found: list[Detection] = []
        for (entity,), of_type in inputs.group_by("entity_type"):
            found += _detections_of_slice(of_type, by_type[str(entity)], slice_number=inputs["slice"][0])
        return pa.Table.from_pylist(found, schema=DETECTIONS.arrow_schema())

    return detect_in_slice


def _detections_of_slice(inputs: pl.DataFrame, rules: Sequence[AnyRule], *, slice_number: int) -> Iterator[Detection]:
    """Yield the detections of rules of both kinds and of one entity column on the days of a slice."""
    is_event = pl.col("input") == EVENT
    is_judged = is_event & pl.col("event_at").dt.date().is_between(*days_of_slice(slice_number))
    if of_days := over_events(rules):
        yield from detections_in(inputs.filter(is_event), of_days, slice_number=slice_number)
    if of_weeks := over_baselines(rules):
        yield from baseline_detections_in(inputs.filter(~is_event | is_judged), of_weeks)


def baseline_detections_in(rows: pl.DataFrame, rules: Sequence[BaselineRule]) -> Iterator[Detection]:
    """Yield the detections of rules of one entity column.

    Args:
        rows: Inputs: all of those that the rules read for each entity and day in them. They have `entity` and `input`;
            judged events and hours have the columns of `rows_read`, first logins `kind`, `value` and `event_at`.
        rules: The rules.
    """
    of = {name: rows.filter(pl.col("input") == name) for name in (EVENT, HOUR, FIRST)}
    judged = of[EVENT].sort("event_at", *POSITION)
    firsts = _columns(of[FIRST], "entity", "kind", "value", first_at="event_at")
    for rule in rules:
        hours = of[HOUR].filter(rule.name).group_by("entity", "event_at").agg(pl.col("times").sum())
        baseline = Baseline(
            judged.filter(rule.name).select(*EVENT_COLUMNS, "entity"),
            hours.select("entity", hour_at="event_at", occurrences="times"),
            firsts,
        )
        evidence = rule.find(baseline)
        ignored = [entity for entity in evidence["entity"].unique() if not rule.looks_at(entity)]
        chain = pl.struct("entity", pl.col("event_at").dt.date())
        yield from rows_of(evidence.filter(~pl.col("entity").is_in(ignored)).with_columns(chain=chain), rule)


def _firsts(firsts: pl.DataFrame) -> pl.DataFrame:
    """Return rows of gold.first_seen as inputs; a null user is not an entity."""
    of_users = firsts.filter(pl.col("username").is_not_null())
    return of_users.select("kind", "value", entity="username", event_at="first_at", input=pl.lit(FIRST))


def _columns(rows: pl.DataFrame, *names: str, **renamed: str) -> pl.DataFrame:
    """Return some columns of rows; where no input has one, as for other entities than users, null."""
    missing = [pl.lit(None, pl.String).alias(name) for name in names if name not in rows.columns]
    return rows.with_columns(missing).select(*names, **renamed)
