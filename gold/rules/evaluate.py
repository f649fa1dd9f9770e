"""Evaluate rules: from rows of silver.events to the rows of gold.detections.

A rule is evaluated for one entity and day at a time, on the events of the day before, the day itself and the day after:
a context. The result for a day therefore depends on these three days only, whichever process computes it and whatever
other events it has. The consequences:

- The state of a rule reaches back to the start of the day before at most.
- A detection ends at the latest with the day after the one on which it fired. An attack that goes on for longer is a
  new detection on the third day and on each following day.
- If the first hit is less than a window and a gap after the start of the day before, the attack may have begun
  earlier, out of sight. Its hits on the day are then a detection of the day.

A rule gets the events of all contexts at once, in one frame. The contexts of a few days at a time bound its size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from functools import reduce
from operator import attrgetter, or_
from typing import TYPE_CHECKING, Any, TypeVar

import narwhals.stable.v2 as nw
import polars as pl

from gold.rules.candidates import candidates
from gold.rules.detections import CONTEXT_DAYS, Detection, detections_of
from gold.rules.model import EVENT_COLUMNS, AnyRule, Contexts, Rule
from gold.rules.windows import CONTEXT_SPAN
from lakehouse.tables.bronze import POSITION
from lakehouse.tables.gold import DETECTIONS

if TYPE_CHECKING:
    import pyarrow as pa

# The rules are evaluated for so many days at a time, which bounds the rows that a process holds in memory.
SLICE_DAYS = 7
DAY = timedelta(days=1)
EPOCH = date(1970, 1, 1)
OfEntity = TypeVar("OfEntity", bound=AnyRule)

NO_HITS = pl.Series(dtype=pl.Int64)


def by_entity(rules: Iterable[OfEntity]) -> dict[str, list[OfEntity]]:
    """Return the rules of each entity column: they are evaluated together."""
    groups: dict[str, list[OfEntity]] = {}
    for rule in rules:
        groups.setdefault(rule.entity, []).append(rule)
    return groups


def with_masks(events: Any, rules: Iterable[AnyRule]) -> Any:
    """Return events with a boolean column for each rule, of its name: whether the rule reads the event.

    Args:
        events: Rows of silver.events with any verdict, as a native frame of Spark or polars.
        rules: Rules of any entity columns.

    Returns:
        A lazy frame of the same engine. For Spark, building a mask takes a hundred calls to its JVM.
    """
    rules = tuple(rules)
    # Many rules read the same rows: the first one of them by what it selects.
    firsts: dict[object, str] = {}
    first_of = {rule.name: firsts.setdefault(_selection(rule), rule.name) for rule in rules}
    masks = {rule.name: _is_true(rule.reads()) for rule in rules if first_of[rule.name] == rule.name}
    copies = {name: nw.col(first) for name, first in first_of.items() if name != first}
    marked = nw.from_native(events).lazy().with_columns(**masks)
    return (marked.with_columns(**copies) if copies else marked).to_native()


def rows_read(marked: Any, rules: Iterable[AnyRule]) -> Any:
    """Return the rows that one of the rules reads.

    Args:
        marked: Rows as `with_masks` returns them for at least these rules.
        rules: Rules of any entity columns.

    Returns:
        A lazy frame of the same engine with `EVENT_COLUMNS` and the masks of the rules.
    """
    masks = [rule.name for rule in rules]
    read = nw.from_native(marked).lazy().filter(reduce(or_, map(nw.col, masks)))
    return read.select(*EVENT_COLUMNS, *masks).to_native()


def detect(events: pl.LazyFrame, rules: Iterable[Rule]) -> pa.Table:
    """Return all detections of the rules in rows of silver.events, without Spark.

    Args:
        events: Rows of silver.events with any verdict.
        rules: Rules of any entity columns.
    """
    rules = tuple(rules)
    rows: pl.DataFrame = rows_read(with_masks(events, rules), rules).sort("event_at").collect()
    return _as_table(
        found
        for number, of_slice in slices_of(rows)
        for entity, of_entity in by_entity(rules).items()
        for found in detections_in(of_slice.with_columns(entity=entity), of_entity, slice_number=number)
    )


def slices_of(rows: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield the number of each slice that has an event, and the rows of its days and of the days around them.

    Args:
        rows: Rows ordered by `event_at`.
    """
    days = rows["event_at"].dt.date()
    for number in sorted({slice_of(day) for day in days.unique()}):
        first, last = days_of_slice(number)
        begin = days.search_sorted(first - CONTEXT_DAYS * DAY, side="left")
        end = days.search_sorted(last + CONTEXT_DAYS * DAY, side="right")
        yield number, rows.slice(begin, end - begin)


def detections_in(rows: pl.DataFrame, rules: Sequence[Rule], *, slice_number: int) -> Iterator[Detection]:
    """Yield the detections of rules of one entity column on the days of a slice.

    Args:
        rows: Rows as `rows_read` returns them, with `entity`: all of those that the rules read for each entity in them
            on the days of the slice and on the days around them.
        rules: Rules of one entity column.
        slice_number: See `slice_of`.
    """
    events = in_contexts(candidates(rows, rules), slice_number=slice_number)
    hits: dict[str, pl.Series] = {}
    # Rules that follow others come after them.
    for rule in sorted(rules, key=attrgetter("follows")):
        of_rule = rule.relevant(events.filter(rule.name))
        if of_rule.is_empty():
            continue
        if rule.follows:
            followed = [hits[other.name] for other in rules if other.name in rule.follows and other.name in hits]
            is_hit = rule.find_after(of_rule, pl.concat([NO_HITS, *followed]).sort())
        else:
            is_hit = rule.find(of_rule)
        hits[rule.name] = of_rule["clock"].filter(is_hit)
        yield from detections_of(of_rule, is_hit, rule=rule)


def in_contexts(rows: pl.DataFrame, *, slice_number: int) -> Contexts:
    """Return the events once for each context of the slice's days that they are in, in the order that rules expect.

    Args:
        rows: `EVENT_COLUMNS` and `entity`.
        slice_number: See `slice_of`.
    """
    first, last = days_of_slice(slice_number)
    in_order = rows.sort("event_at", *POSITION).with_columns(
        pl.col("entity").rank("dense").cast(pl.Int64).alias("number")
    )
    day = pl.col("event_at").dt.date()
    replicated = pl.concat(
        in_order.with_columns(judged_on=day + distance * DAY) for distance in range(-CONTEXT_DAYS, CONTEXT_DAYS + 1)
    ).filter(pl.col("judged_on").is_between(first, last))
    context = pl.col("number") * SLICE_DAYS + (pl.col("judged_on") - first).dt.total_days()
    begin = pl.col("judged_on").cast(pl.Datetime("us", "UTC")) - CONTEXT_DAYS * DAY
    since_begin = (pl.col("event_at") - begin).dt.total_microseconds()
    return (
        replicated.with_columns(context=context)
        .with_columns(clock=pl.col("context") * CONTEXT_SPAN + since_begin)
        .sort("clock", maintain_order=True)
    )


def slice_of(day: date) -> int:
    """Return the number of the slice of `SLICE_DAYS` days in which a day is."""
    return (day - EPOCH).days // SLICE_DAYS


def days_of_slice(number: int) -> tuple[date, date]:
    """Return the first and the last day of a slice."""
    first = EPOCH + number * SLICE_DAYS * DAY
    return first, first + (SLICE_DAYS - 1) * DAY


def days_around(days: Iterable[date]) -> list[date]:
    """Return the days whose detections events on the given days can change.

    They are also the days whose events must be read to evaluate a rule for the given days.
    """
    reach = range(-CONTEXT_DAYS, CONTEXT_DAYS + 1)
    return sorted({day + timedelta(days=distance) for day in days for distance in reach})


def _as_table(found: Iterable[Detection]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist(list(found), schema=DETECTIONS.arrow_schema())


def _selection(rule: AnyRule) -> object:
    """Return the same value for rules that read the same rows: rules share the expressions of `gold.rules.signals`."""
    return (id(rule.select), rule.entity) if type(rule).reads is AnyRule.reads else rule.name


def _is_true(condition: nw.Expr) -> nw.Expr:
    """Return the condition with false in place of null."""
    return nw.when(condition).then(nw.lit(value=True)).otherwise(nw.lit(value=False))
