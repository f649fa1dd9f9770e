"""Evaluate rules: from the events of one entity to the rows of gold.detections.

A rule is evaluated for one day at a time, on the events of the day before, the day itself and the day after. The result
for a day therefore depends on these three days only, whichever process computes it and whatever other events it has.
The consequences:

- The state of a rule reaches back to the start of the day before at most.
- A detection ends at the latest with the day after the one on which it fired. An attack that goes on for longer is a
  new detection on the third day and on each following day.
- If the first hit is less than a window and a gap after the start of the day before, the attack may have begun
  earlier, out of sight. Its hits on the day are then a detection of the day.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import reduce
from itertools import compress, islice
from operator import attrgetter, or_
from typing import TYPE_CHECKING, Any, TypeAlias

import narwhals.stable.v2 as nw

from gold.rules.model import Event, Rule
from gold.rules.windows import chains
from lakehouse.tables.bronze import POSITION
from lakehouse.tables.gold import CONFIRMED, DETECTIONS

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

# The detections of a day depend on the events of this many days before and after it.
CONTEXT_DAYS = 1
# Spark evaluates the rules for so many days at a time, which bounds the rows that a worker holds in memory.
SLICE_DAYS = 7
DAY = timedelta(days=1)
EPOCH = date(1970, 1, 1)
# A detection lists so many positions, users and addresses of its evidence.
LISTED = 100
EVENT_COLUMNS = (
    *("event_at", "times", "username", "action", "outcome", "src_ip", "country"),
    *("app", "session_id", "agent_family", "os_family"),
    *POSITION,
)

# A row of gold.detections.
Detection: TypeAlias = dict[str, Any]


def by_entity(rules: Iterable[Rule]) -> dict[str, list[Rule]]:
    """Return the rules of each entity column: they are evaluated together."""
    groups: dict[str, list[Rule]] = {}
    for rule in rules:
        groups.setdefault(rule.entity, []).append(rule)
    return groups


def rows_read(events: Any, rules: Iterable[Rule]) -> Any:
    """Return the rows that one of the rules reads.

    Args:
        events: Rows of silver.events with any verdict, as a native frame of Spark or polars.
        rules: Rules of any entity columns.

    Returns:
        A lazy frame of the same engine with `EVENT_COLUMNS` and, for each rule, a boolean column of its name: whether
        the rule reads the event.
    """
    masks = {rule.name: _is_true(rule.reads()) for rule in rules}
    marked = nw.from_native(events).lazy().with_columns(**masks).filter(reduce(or_, map(nw.col, masks)))
    return marked.select(*EVENT_COLUMNS, *masks).to_native()


def detect(events: pl.LazyFrame, rules: Iterable[Rule]) -> pa.Table:
    """Return all detections of the rules in rows of silver.events, without Spark.

    Args:
        events: Rows of silver.events with any verdict.
        rules: Rules of any entity columns.
    """
    rules = tuple(rules)
    rows = rows_read(events, rules).collect()
    return _as_table(found for of_entity in by_entity(rules).values() for found in detections_in(rows, of_entity))


def detections_in(rows: pl.DataFrame, rules: Sequence[Rule]) -> Iterator[Detection]:
    """Yield the detections of rules of one entity column.

    Args:
        rows: Rows as `rows_read` returns them, all of those that the rules read for each entity in them.
        rules: Rules of one entity column.
    """
    entity = rules[0].entity
    # Polars sorts all rows at once; each entity gets its own in the order in which rules expect them.
    in_order = candidates(rows, rules).sort("event_at", *POSITION)
    for (name,), of_entity in in_order.group_by(entity, maintain_order=True):
        events = _events(of_entity)
        read = {rule.name: list(compress(events, of_entity[rule.name])) for rule in rules}
        for rule in rules:
            followed = [(other, read[other.name]) for other in rules if other.name in rule.follows]
            yield from detections_of(str(name), read[rule.name], rule=rule, followed=followed)


def candidates(rows: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """Return the rows on which one of the rules may fire.

    A rule may fire on the events of an entity if it looks at the entity, if there are enough of them, and if they
    differ where they must; a rule that follows others, if one of these may fire. Where a rule may not, its column is
    false.

    Args:
        rows: Rows as `rows_read` returns them.
        rules: Rules of one entity column.
    """
    import polars as pl

    entity, names = rules[0].entity, [rule.name for rule in rules]
    read = rows.lazy().filter(pl.any_horizontal(names))
    may_fire = [pl.col(name) & pl.col(f"{name}_may_fire") for name in names]
    marked = read.join(_entities(read, rules), on=entity).with_columns(may_fire)
    return marked.filter(pl.any_horizontal(names)).select(*EVENT_COLUMNS, *names).collect()


def detect_in_arrow(rules: Sequence[Rule]) -> Callable[[pa.Table], pa.Table]:
    """Return the rules as a function from an Arrow table to the detections in it, for Spark.

    The table has the columns of `rows_read`, `entity_type`, and `slice` with one number in all rows. Of each entity in
    it, it has all rows on the slice's days and on the days around them. Detections of other days are left out.
    """
    by_type = by_entity(rules)

    def detect_in_slice(table: pa.Table) -> pa.Table:
        import polars as pl

        rows = pl.DataFrame(table)
        return _as_table(
            found
            for (entity,), of_type in rows.group_by("entity_type")
            for found in detections_in(of_type, by_type[str(entity)])
            if slice_of(found["fired_on"]) == rows["slice"][0]
        )

    return detect_in_slice


def detections_of(
    entity: str, events: Sequence[Event], *, rule: Rule, followed: Sequence[tuple[Rule, Sequence[Event]]] = ()
) -> list[Detection]:
    """Return all detections of one entity, day by day.

    Args:
        entity: Value of the rule's entity column.
        events: The entity's events that the rule reads, ordered by time and position.
        rule: The rule.
        followed: The rules that it follows, each with the entity's events that it reads.
    """
    events = rule.relevant(events)
    found: list[Detection] = []
    for day in sorted({event.at.date() for event in events}):
        context = _context(events, day)
        before = (hit for other, of_other in followed for hit in other.find(_context(other.relevant(of_other), day)))
        hits = rule.find_after(context, sorted(before, key=attrgetter("at")))
        found += (_detection(entity, context, hits=of_day, rule=rule) for of_day in _hits_of_day(hits, day, rule=rule))
    return found


def slice_of(day: date) -> int:
    """Return the number of the slice of `SLICE_DAYS` days in which a day is."""
    return (day - EPOCH).days // SLICE_DAYS


def days_around(days: Iterable[date]) -> list[date]:
    """Return the days whose detections events on the given days can change.

    They are also the days whose events must be read to evaluate a rule for the given days.
    """
    reach = range(-CONTEXT_DAYS, CONTEXT_DAYS + 1)
    return sorted({day + timedelta(days=distance) for day in days for distance in reach})


def detection_id(rule: str, entity: str, *, fired_at: datetime) -> str:
    """Return the hash of rule, entity and the hour in which the rule first fired."""
    hour = fired_at.replace(minute=0, second=0, microsecond=0).isoformat()
    return hashlib.sha256("\n".join((rule, entity, hour)).encode()).hexdigest()[:32]


def midnight(day: date) -> datetime:
    """Return the start of a UTC day."""
    return datetime.combine(day, time(), UTC)


def _as_table(found: Iterable[Detection]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist(list(found), schema=DETECTIONS.arrow_schema())


def _events(rows: pl.DataFrame) -> list[Event]:
    columns = {name: rows[name].to_list() for name in EVENT_COLUMNS}
    return list(
        map(
            Event,
            columns["event_at"],
            columns["times"],
            columns["username"],
            zip(*(columns[name] for name in POSITION), strict=True),
            columns["action"],
            columns["outcome"],
            columns["src_ip"],
            columns["country"],
            columns["session_id"],
            columns["agent_family"],
            columns["os_family"],
        )
    )


def _is_true(condition: nw.Expr) -> nw.Expr:
    """Return the condition with false in place of null."""
    return nw.when(condition).then(nw.lit(value=True)).otherwise(nw.lit(value=False))


def _context(events: Sequence[Event], day: date) -> Sequence[Event]:
    """Return the events of a day and of the days around it."""
    first, end = midnight(day) - CONTEXT_DAYS * DAY, midnight(day) + (1 + CONTEXT_DAYS) * DAY
    return events[bisect_left(events, first, key=attrgetter("at")) : bisect_left(events, end, key=attrgetter("at"))]


def _entities(read: pl.LazyFrame, rules: Sequence[Rule]) -> pl.LazyFrame:
    """Return for each entity, as a column per rule, whether the rule may fire for it."""
    import polars as pl

    entity = rules[0].entity
    aggregates = {name: aggregate for rule in rules for name, aggregate in _aggregates(rule).items()}
    groups = nw.from_native(read).group_by(entity).agg(**aggregates)
    may_fire = {f"{rule.name}_may_fire": _is_true(_may_fire(rule)) for rule in rules}
    entities: pl.DataFrame = groups.select(entity, **may_fire).to_native().collect()
    for rule in sorted(rules, key=attrgetter("follows")):
        name = f"{rule.name}_may_fire"
        if rule.follows:
            followed = [f"{other.name}_may_fire" for other in rules if other.name in rule.follows]
            entities = entities.with_columns(pl.col(name) & pl.any_horizontal(pl.lit(value=False), *followed))
        if ignored := [value for value in entities.filter(name)[entity] if not rule.looks_at(value)]:
            entities = entities.with_columns(pl.col(name) & ~pl.col(entity).is_in(ignored))
    return entities.lazy()


def _aggregates(rule: Rule) -> dict[str, nw.Expr]:
    """Return what `_may_fire` needs to know of the events of an entity that the rule reads."""
    is_counted = nw.col(rule.name) & rule.is_counted
    aggregates = {f"{rule.name}_occurrences": nw.when(is_counted).then(nw.col("times")).otherwise(nw.lit(0)).sum()}
    for column in rule.differs_in:
        values = nw.when(nw.col(rule.name)).then(nw.col(column))
        aggregates |= {f"{rule.name}_least_{column}": values.min(), f"{rule.name}_greatest_{column}": values.max()}
    return aggregates


def _may_fire(rule: Rule) -> nw.Expr:
    is_frequent = nw.col(f"{rule.name}_occurrences") >= rule.min_occurrences
    if not rule.differs_in:
        return is_frequent
    differs = (
        _is_true(nw.col(f"{rule.name}_least_{column}") < nw.col(f"{rule.name}_greatest_{column}"))
        for column in rule.differs_in
    )
    return is_frequent & reduce(or_, differs)


def _hits_of_day(found: Iterable[Event], day: date, *, rule: Rule) -> Iterator[list[Event]]:
    """Yield the hits of each detection of the day.

    A chain of hits that begins on the day is one detection of the day. A chain that begins the day before is a
    detection of that day, with one exception: if it begins within a window and a gap of the start of the context, it
    may really have begun earlier, outside the context. Then its hits on the day are a detection of the day. A window
    more than the gap, because the first hit of such a chain can be missed if it depends on events before the
    context; the next hit is found.
    """
    may_have_begun_earlier = midnight(day) - CONTEXT_DAYS * DAY + rule.window + rule.gap
    for chain in chains(found, gap=rule.gap):
        began = chain[0].at
        if began.date() == day:
            yield chain
        elif began < may_have_begun_earlier and (hits := [hit for hit in chain if hit.at.date() == day]):
            yield hits


def _detection(entity: str, context: Sequence[Event], *, hits: Sequence[Event], rule: Rule) -> Detection:
    """Return the row for a chain of hits."""
    fired_at = hits[0].at
    evidence = rule.evidence(context, hits)
    return {
        "detection_id": detection_id(rule.name, entity, fired_at=fired_at),
        "rule": rule.name,
        "rule_version": rule.version,
        "entity_type": rule.entity,
        "entity": entity,
        "fired_at": fired_at,
        "fired_on": fired_at.date(),
        "first_at": evidence[0].at,
        "last_at": hits[-1].at,
        "severity": rule.severity_of(hits),
        "status": CONFIRMED,
        "retracted_in": None,
        "measures": json.dumps({**rule.measures(evidence), "hits": len(hits)}, sort_keys=True),
        "evidence": json.dumps([event.position for event in evidence[:LISTED]]),
        "evidence_users": _listed(event.username for event in evidence),
        "evidence_ips": _listed(event.src_ip for event in evidence),
        "technique": rule.technique,
    }


def _listed(values: Iterable[str | None]) -> str:
    """Return the first different values as a JSON list; null is left out."""
    different = dict.fromkeys(value for value in values if value is not None)
    return json.dumps(list(islice(different, LISTED)), ensure_ascii=False)
