"""Evaluate rules over baselines: from rows of silver.events and gold.first_seen to the rows of gold.detections.

A rule is evaluated for an entity and a UTC day. It gets the events of the day, how many each hour had on the days
before, and the first logins of a user. All events at which it fires on the day are one detection. The result depends on
nothing else, whichever process computes it and whatever other entities and days it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import narwhals.stable.v2 as nw
import polars as pl
import pyarrow as pa

from gold.rules.baseline import Baseline, BaselineRule, over_baselines, over_events
from gold.rules.detections import Detection, rows_of
from gold.rules.evaluate import by_entity, days_of_slice, detect, detections_in, rows_read, with_masks
from gold.rules.model import EVENT_COLUMNS, AnyRule
from gold.transforms.first_seen import first_seen
from lakehouse.tables.bronze import POSITION
from lakehouse.tables.gold import DETECTIONS

# What rules over baselines compare the judged events with: the events of an hour together, as `hours_of` returns them,
# and first logins, which have a `kind`, a `value`, and their instant as `event_at`. All have `entity`.
History: TypeAlias = pl.DataFrame


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
    rows: pl.DataFrame = rows_read(with_masks(events, rules), rules).collect()
    firsts = first_seen(events).collect()
    found: list[Detection] = []
    for entity, of_entity in by_entity(rules).items():
        judged = rows.with_columns(entity=entity).filter(pl.any_horizontal(rule.name for rule in of_entity))
        history = [hours_of(judged, of_entity, key=("entity",)).collect()]
        if entity == "username":
            history.append(_history_of(firsts))
        found += baseline_detections_in(judged, of_entity, history=pl.concat(history, how="diagonal"))
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


def detect_in_arrow(rules: Sequence[AnyRule]) -> Callable[[pa.Table, pa.Table], pa.Table]:
    """Return the rules of both kinds as a function from two Arrow tables to the detections in them, for Spark.

    The first table has events: rows as `rows_read` returns them, with `entity_type`, `entity`, and `slice` with one
    number in all rows. Of each entity in it, it has all events on the slice's days and on the days around them. The
    second one has the history with which rules over baselines compare these days, with `entity_type`.
    """
    by_type = by_entity(rules)

    def detect_in_slice(events: pa.Table, history: pa.Table) -> pa.Table:
        found: list[Detection] = []
        earlier = pl.DataFrame(history)
        for (entity,), of_type in pl.DataFrame(events).group_by("entity_type"):
            of_entities = earlier.filter(pl.col("entity_type") == entity)
            found += _detections_of_slice(of_type, by_type[str(entity)], history=of_entities)
        return pa.Table.from_pylist(found, schema=DETECTIONS.arrow_schema())

    return detect_in_slice


def _detections_of_slice(events: pl.DataFrame, rules: Sequence[AnyRule], *, history: History) -> Iterator[Detection]:
    """Yield the detections of rules of both kinds and of one entity column on the days of a slice."""
    slice_number = events["slice"][0]
    if of_days := over_events(rules):
        yield from detections_in(events, of_days, slice_number=slice_number)
    if of_weeks := over_baselines(rules):
        is_judged = pl.col("event_at").dt.date().is_between(*days_of_slice(slice_number))
        yield from baseline_detections_in(events.filter(is_judged), of_weeks, history=history)


def baseline_detections_in(
    judged: pl.DataFrame, rules: Sequence[BaselineRule], *, history: History
) -> Iterator[Detection]:
    """Yield the detections of rules of one entity column.

    Args:
        judged: Rows as `rows_read` returns them, with `entity`: all those of each entity and day in them.
        rules: The rules.
        history: What the rules compare these with.
    """
    judged = judged.sort("event_at", *POSITION)
    history = _with_kind(history)
    firsts = history.filter(pl.col("kind").is_not_null()).select("entity", "kind", "value", first_at="event_at")
    for rule in rules:
        hours = history.filter(rule.name).group_by("entity", "event_at").agg(pl.col("times").sum())
        baseline = Baseline(
            judged.filter(rule.name).select(*EVENT_COLUMNS, "entity"),
            hours.select("entity", hour_at="event_at", occurrences="times"),
            firsts,
        )
        evidence = rule.find(baseline)
        ignored = [entity for entity in evidence["entity"].unique() if not rule.looks_at(entity)]
        chain = pl.struct("entity", pl.col("event_at").dt.date())
        yield from rows_of(evidence.filter(~pl.col("entity").is_in(ignored)).with_columns(chain=chain), rule)


def _history_of(firsts: pl.DataFrame) -> History:
    """Return rows of gold.first_seen as history; a null user is not an entity."""
    of_users = firsts.filter(pl.col("username").is_not_null())
    return of_users.select("kind", "value", entity="username", event_at="first_at")


def _with_kind(history: History) -> History:
    """Return the history with the columns of first logins: null where it has none, as for other entities than users."""
    missing = [pl.lit(None, pl.String).alias(name) for name in ("kind", "value") if name not in history.columns]
    return history.with_columns(missing)
