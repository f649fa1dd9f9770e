"""Events for tests of rules."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import hypothesis.strategies as st
import polars as pl
import pyarrow as pa

from gold.rules.brute_force_ip import BruteForceIp
from gold.rules.detections import Detection
from gold.rules.evaluate import detections_in, slice_of
from gold.rules.model import EVENT_COLUMNS, Rule
from lakehouse.tables.bronze import POSITION
from lakehouse.tables.silver import EVENTS
from producer.events import instant_of
from producer.generate import Stream
from silver.decode import DecodeRules, decode
from tests.silver.records import a_record, batch_of, headers_column


class Event(NamedTuple):
    """An accepted event.

    Attributes:
        at: Event time, UTC.
        times: How many equal occurrences the record stands for.
        username: Null if the source names no user.
        position: Topic, partition and offset in bronze.
        action: login, probe, lockout or logout.
        outcome: success or failure for a login, otherwise null.
        src_ip: Source address.
        country: Country in which the source address is registered.
        session_id: Session that the event belongs to.
        agent_family: Family of the client software.
        os_family: Operating system of the client.
        app: Application.
        device_id: Device, as the source names it.
        is_mfa: Whether a second factor was used.
    """

    at: datetime
    times: int
    username: str | None
    position: tuple[str, int, int]
    action: str = "login"
    outcome: str | None = None
    src_ip: str | None = None
    country: str | None = None
    session_id: str | None = None
    agent_family: str | None = None
    os_family: str | None = None
    app: str | None = None
    device_id: str | None = None
    is_mfa: bool | None = None


NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
RULE = BruteForceIp(
    version=1, capacity=5, leak_seconds=10, signals=20, window_minutes=60, severity="high", technique="T1110"
)


def events_at(seconds: Iterable[float], *, start: datetime = NOON, times: int = 1) -> list[Event]:
    """Return an event at each of the seconds after `start`, each with a user of its own."""
    return [
        Event(start + timedelta(seconds=second), times, f"u{number}", ("logs", 0, number))
        for number, second in enumerate(seconds)
    ]


def an_event(second: float = 0, *, number: int = 0, **values: Any) -> Event:
    """A failed login at a second after `NOON`, with the given values replaced."""
    failure = Event(
        NOON + timedelta(seconds=second), 1, "u0", ("logs", 0, number), "login", "failure", "192.0.2.1", "DE"
    )
    return failure._replace(**values)


def detections_of(
    entity: str, events: Sequence[Event], *, rule: Rule, followed: Sequence[tuple[Rule, Sequence[Event]]] = ()
) -> list[Detection]:
    """Return the detections of a rule for one entity.

    Args:
        entity: Value of the rule's entity column.
        events: The entity's events that the rule reads.
        rule: The rule.
        followed: The rules that it follows, each with the entity's events that it reads.
    """
    return found_in([(entity, each, of_rule) for each, of_rule in [(rule, events), *followed]], rule=rule)


def found_in(read: Sequence[tuple[str, Rule, Sequence[Event]]], *, rule: Rule) -> list[Detection]:
    """Return the detections of a rule, given what each rule reads of each entity."""
    rules = {each.name: each for _, each, _ in read}
    rows = pl.concat(
        rows_of(events).with_columns(**{name: pl.lit(name == each.name) for name in rules}, entity=pl.lit(entity))
        for entity, each, events in read
    )
    return [
        found
        for number in sorted({slice_of(event.at.date()) for _, _, events in read for event in events})
        for found in detections_in(rows, list(rules.values()), slice_number=number)
        if found["rule"] == rule.name
    ]


def rows_of(events: Sequence[Event]) -> pl.DataFrame:
    """Return the rows of silver.events of some events, with the columns that rules use."""
    types = pl.DataFrame(EVENTS.arrow_schema().empty_table()).schema
    rows = [
        {"event_at": event.at, **event._asdict()} | dict(zip(POSITION, event.position, strict=True)) for event in events
    ]
    return pl.DataFrame(rows, schema={name: types[name] for name in EVENT_COLUMNS})


def generated_events(stream: Stream) -> pl.LazyFrame:
    """Return the rows of silver.events that silver decodes from a generated stream, which must have no noise."""
    records = (
        a_record(record.value, None, offset=offset, appended_at=instant_of(record.at))
        | {"headers": headers_column(record.headers)}
        for offset, record in enumerate(stream)
    )
    return pl.from_arrow(pa.Table.from_batches([decode(batch_of(*records), DecodeRules())])).lazy()


def histories_by_entity() -> st.SearchStrategy[dict[str, list[Event]]]:
    """Histories of a few entities, by entity."""
    several = st.lists(histories(), min_size=1, max_size=6)
    return several.map(lambda each: {f"192.0.2.{number}": events for number, events in enumerate(each)})


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Events of one entity, in bursts at a few instants of six days, so that attacks cross midnight.

    Their other values are few, so that equal ones and different ones occur within a burst.
    """
    minutes = st.integers(0, 6 * 24 * 60) | st.builds(
        lambda day, near: day * 1440 + near, st.integers(1, 5), st.integers(-130, 130)
    )
    starts = draw(st.lists(minutes, max_size=12))
    times = [
        (start * 60 + draw(st.integers(0, 90)), draw(st.sampled_from([1, 1, 1, 7])))
        for start in starts
        for _ in range(4)
    ]
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    chance = random.Random(draw(st.integers(0, 2**16)))
    values = draw(st.integers(1, 6))
    return [
        Event(
            begin + timedelta(seconds=second),
            count,
            f"u{chance.randrange(values)}",
            ("logs", 0, number),
            chance.choice(["login", "probe"]),
            chance.choice(["success", "failure", "failure", "failure"]),
            chance.choice([None, *(f"192.0.2.{last}" for last in range(values))]),
            chance.choice([None, "DE", "FR", "JP"]),
            f"s{chance.randrange(values)}",
            chance.choice([None, "Firefox", "Chrome"]),
            chance.choice([None, "Linux", "Windows"]),
            chance.choice([None, "mail", "vpn"]),
            chance.choice([None, *(f"d{device}" for device in range(values))]),
            chance.choice([None, False, True]),
        )
        for number, (second, count) in enumerate(sorted(times))
    ]
