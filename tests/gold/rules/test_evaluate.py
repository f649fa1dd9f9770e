from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from typing import ClassVar

import narwhals.stable.v2 as nw
import polars as pl
import pyarrow as pa
import pytest
from msgspec.structs import asdict, replace

from gold.rules import load_rules
from gold.rules.brute_force_ip import BruteForceIp
from gold.rules.candidates import candidates
from gold.rules.detections import CONTEXT_DAYS, Detection
from gold.rules.evaluate import (
    DAY,
    EPOCH,
    SLICE_DAYS,
    days_around,
    detect,
    rows_read,
    slice_of,
    with_masks,
)
from gold.rules.evaluate_baselines import detect_in_arrow
from gold.rules.model import EVENT_COLUMNS, Contexts, Rule
from lakehouse.settings import Settings
from lakehouse.tables.gold import DETECTIONS
from lakehouse.tables.silver import EVENTS
from tests.gold.rules.builders import NOON, RULE, Event, detections_of, events_at
from tests.serving.lakes import a_login

BURST = [0.0] * 6


def found(events: list[Event]) -> list[Detection]:
    return detections_of("192.0.2.1", events, rule=RULE)


def test_hits_less_than_a_window_apart_are_one_detection() -> None:
    (together,) = found(events_at(BURST + [3599.0] * 6))
    apart = found(events_at(BURST + [3600.0] * 6))

    assert json.loads(together["measures"])["hits"] == 2
    assert [detection["fired_at"] for detection in apart] == [NOON, NOON + timedelta(hours=1)]
    assert len({detection["detection_id"] for detection in apart}) == 2


def test_hits_within_an_hour_are_one_detection_however_short_the_window_is() -> None:
    short = replace(RULE, window_minutes=5)
    events = events_at(BURST + [3_599.0] * 6 + [7_199.0] * 6)

    found = detections_of("192.0.2.1", events, rule=short)

    assert [json.loads(detection["measures"])["hits"] for detection in found] == [2, 1]
    assert len({detection["detection_id"] for detection in found}) == 2


def test_a_detection_names_rule_entity_time_and_evidence() -> None:
    (detection,) = found(events_at([0, 1, 2, 3, 4, 5, 6]))

    assert {name: detection[name] for name in ("rule", "rule_version", "entity_type", "entity", "technique")} == {
        "rule": "brute_force_ip",
        "rule_version": 1,
        "entity_type": "src_ip",
        "entity": "192.0.2.1",
        "technique": "T1110",
    }
    assert (detection["first_at"], detection["last_at"]) == (NOON, NOON + timedelta(seconds=5))
    assert detection["fired_on"] == NOON.date()
    assert json.loads(detection["evidence"]) == [["logs", 0, number] for number in range(6)]


def test_the_id_is_that_of_lakes_written_before() -> None:
    (detection,) = found(events_at(BURST))

    assert detection["detection_id"] == "78378a709ee633a9b7409291819a28db"


def test_evidence_names_a_hundred_records_at_most() -> None:
    (detection,) = found(events_at(range(300)))

    assert len(json.loads(detection["evidence"])) == 100
    assert json.loads(detection["measures"])["failures"] > 100


def test_an_attack_across_midnight_is_one_detection_of_the_day_it_began() -> None:
    start = NOON.replace(hour=23, minute=59, second=50)
    (detection,) = found(events_at(range(20), start=start))

    assert detection["fired_on"] == NOON.date()
    assert detection["last_at"] > NOON.replace(hour=23, minute=59, second=59)


@pytest.mark.parametrize("minutes", [2, 3])
def test_detections_cover_each_day_of_an_attack_that_goes_on_for_days(minutes: int) -> None:
    days = 6
    steady = events_at([60.0 * minutes * number for number in range(days * 24 * 60 // minutes)])

    covered = [
        detection["fired_on"] + timedelta(days=later)
        for detection in found(steady)
        for later in range((detection["last_at"].date() - detection["fired_on"]).days + 1)
    ]

    assert covered == [NOON.date() + timedelta(days=day) for day in range(days + 1)]


def test_detections_of_a_short_window_cover_each_day_of_an_attack_with_pauses() -> None:
    short, days = replace(RULE, window_minutes=5), 6
    bursts = events_at([3_000.0 * number for number in range(days * 86_400 // 3_000) for _ in BURST])

    covered = {
        detection["fired_on"] + timedelta(days=later)
        for detection in detections_of("192.0.2.1", bursts, rule=short)
        for later in range((detection["last_at"].date() - detection["fired_on"]).days + 1)
    }

    assert covered == {NOON.date() + timedelta(days=day) for day in range(days + 1)}


def test_the_detections_of_a_day_depend_on_its_neighbours_only() -> None:
    days = [events_at([0] * 7, start=NOON + timedelta(days=day)) for day in range(5)]
    by_day = {detection["fired_on"]: detection for detection in found([event for day in days for event in day])}

    near = found([event for day in days[1:4] for event in day])

    assert by_day[NOON.date() + timedelta(days=2)] in near


def test_no_events_have_no_detections() -> None:
    assert found([]) == []


class CountingRule(BruteForceIp, frozen=True, kw_only=True):
    """Counts the events that it is given."""

    read: ClassVar[list[int]] = []

    def find(self, events: Contexts) -> pl.Series:
        self.read.append(len(events))
        return super().find(events)


def test_each_event_is_read_once_per_day_that_it_can_change_however_long_the_history_is() -> None:
    rule, days = CountingRule(**asdict(RULE)), 400
    history = [event for day in range(days) for event in events_at(BURST, start=NOON + timedelta(days=day))]

    assert len(detections_of("192.0.2.1", history, rule=rule)) == days
    assert len(rule.read) == days // SLICE_DAYS + 1
    assert sum(rule.read) <= (2 * CONTEXT_DAYS + 1) * len(history)


def test_days_around_are_the_days_whose_detections_can_change() -> None:
    first, apart = date(2026, 3, 1), date(2026, 3, 10)

    assert days_around([apart, first]) == [first + timedelta(days=n) for n in (-1, 0, 1, 8, 9, 10)]


def rows_of_addresses(events: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    rows: pl.DataFrame = rows_read(with_masks(events, rules), rules).collect()
    return rows.with_columns(entity="src_ip")


def test_only_accepted_signals_of_addresses_with_enough_of_them_are_candidates() -> None:
    attackers = [a_login(offset, src_ip="192.0.2.9", times=3) for offset in (0, 1)]
    others = [
        *(a_login(offset, src_ip="192.0.2.8") for offset in range(2, 7)),
        *(a_login(offset, src_ip=None, times=6) for offset in (7, 8)),
        a_login(9, src_ip="192.0.2.7", times=6, verdict="duplicate"),
        a_login(10, src_ip="192.0.2.6", times=6, outcome="success"),
        a_login(11, src_ip="192.0.2.5", times=6, action="lockout", outcome=None),
    ]
    events = pl.from_arrow(pa.Table.from_pylist(attackers + others, schema=EVENTS.arrow_schema()))

    read = candidates(rows_of_addresses(events, [RULE]), [RULE])

    assert set(read.columns) == {*EVENT_COLUMNS, "entity", "brute_force_ip"}
    assert sorted(read["offset"].to_list()) == [0, 1]


@pytest.mark.parametrize(
    ("users", "rules"),
    [(1, {"brute_force_ip"}), (2, {"brute_force_ip", "password_spray"})],
    ids=["one user", "two users"],
)
def test_a_rule_reads_nothing_of_an_address_whose_events_do_not_differ_where_they_must(
    users: int, rules: set[str]
) -> None:
    rows = [a_login(offset, username=f"user{offset % users}") for offset in range(30)]
    events = pl.from_arrow(pa.Table.from_pylist(rows, schema=EVENTS.arrow_schema()))
    shipped = load_rules(Settings(_env_file=None))
    both = [shipped.brute_force_ip, shipped.password_spray]

    read = candidates(rows_of_addresses(events, both), both)

    assert {name for name in ("brute_force_ip", "password_spray") if read[name].any()} == rules


def test_events_that_do_not_count_do_not_make_an_entity_a_candidate() -> None:
    shipped = load_rules(Settings(_env_file=None)).mfa_fatigue
    successes = [a_login(offset, outcome="success", failure_reason=None, is_mfa=True) for offset in range(30)]
    refused = [a_login(offset, failure_reason="mfa_failed", username="user0002") for offset in range(30, 35)]
    events = pl.from_arrow(pa.Table.from_pylist(successes + refused, schema=EVENTS.arrow_schema()))

    read = candidates(
        rows_read(with_masks(events, [shipped]), [shipped]).collect().with_columns(entity="username"), [shipped]
    )

    assert set(read["username"]) == {"user0002"}


@pytest.mark.parametrize("allow", ["192.0.2.1", "192.0.2.0/30"])
def test_an_entity_on_the_allow_list_of_a_rule_has_no_detection_of_it(allow: str) -> None:
    shipped = load_rules(Settings(_env_file=None))
    rows = [a_login(offset, src_ip=f"192.0.2.{offset % 2 * 8 + 1}") for offset in range(12)]
    events = pl.from_arrow(pa.Table.from_pylist(rows, schema=EVENTS.arrow_schema())).lazy()

    found = detect(events, [replace(shipped.brute_force_ip, allow=(allow,)), shipped.lockout_burst]).to_pylist()

    assert [row["entity"] for row in found] == ["192.0.2.9"]


class ManyFailures(Rule, frozen=True, kw_only=True):
    """Fires at the second failure of a user."""

    name = "many_failures"
    entity = "username"
    select = nw.col("outcome") == "failure"
    measures = (pl.len().alias("failures"),)

    def find(self, events: Contexts) -> pl.Series:
        return events.select(pl.int_range(pl.len()).over("context") > 0).to_series()


def test_rules_of_several_entities_are_evaluated_together() -> None:
    rule = ManyFailures(version=1, severity="low", technique="T1110", window_minutes=60)
    rows = [a_login(offset, username=f"user{offset % 2}", src_ip="192.0.2.9") for offset in range(8)]
    events = pl.from_arrow(pa.Table.from_pylist(rows, schema=EVENTS.arrow_schema()))

    found = detect(events.lazy(), [RULE, rule]).to_pylist()

    assert sorted((row["rule"], row["entity_type"], row["entity"]) for row in found) == [
        ("brute_force_ip", "src_ip", "192.0.2.9"),
        ("many_failures", "username", "user0"),
        ("many_failures", "username", "user1"),
    ]


def test_rows_in_any_order_become_rows_of_the_table() -> None:
    rows = [a_login(offset, times=2, event_at=NOON + timedelta(seconds=offset)) for offset in (2, 0, 1)]
    events = pl.from_arrow(pa.Table.from_pylist(rows, schema=EVENTS.arrow_schema()))

    detections = detect(events.lazy(), [RULE])

    assert detections.schema == DETECTIONS.arrow_schema()
    assert json.loads(detections["evidence"][0].as_py()) == [["logs", 0, offset] for offset in range(3)]


def test_a_slice_has_the_detections_of_its_own_days() -> None:
    first = EPOCH + SLICE_DAYS * slice_of(NOON.date()) * DAY
    days = [first + timedelta(days=distance) for distance in (-1, 0, SLICE_DAYS - 1, SLICE_DAYS)]
    rows = [
        a_login(offset, times=6, event_at=datetime.combine(day, time(), UTC), src_ip="192.0.2.9")
        for offset, day in enumerate(days)
    ]
    events = pl.from_arrow(pa.Table.from_pylist(rows, schema=EVENTS.arrow_schema()))
    of_entities = rows_of_addresses(events, [RULE]).with_columns(entity_type=pl.lit("src_ip"))

    events_of_slice = of_entities.with_columns(slice=slice_of(NOON.date())).to_arrow()
    found = detect_in_arrow([RULE])(events_of_slice, events_of_slice.slice(0, 0))

    assert found["fired_on"].to_pylist() == days[1:3]


def test_the_masks_of_all_rules_together_are_those_of_each_rule_alone() -> None:
    rules = tuple(load_rules(Settings(_env_file=None)))
    values = {
        "action": ("login", "probe", "lockout"),
        "outcome": ("success", "failure", None),
        "verdict": ("accepted", "broken"),
    }
    rows = [
        a_login(number, username=user, session_id=session, country=country, auth_method=method, is_mfa=True)
        | dict(zip(values, each, strict=True))
        for number, (each, user, session, country, method) in enumerate(
            product(product(*values.values()), ("eve", None), ("s1", None), ("DE", None), ("publickey", "password"))
        )
    ]
    events = pl.from_arrow(pa.Table.from_pylist(rows, schema=EVENTS.arrow_schema())).lazy()

    marked = with_masks(events, rules).collect()

    for rule in rules:
        alone = nw.from_native(events).with_columns(alone=rule.reads()).collect().to_native()
        assert marked[rule.name].equals(alone["alone"].fill_null(value=False).rename(rule.name)), rule.name
    assert sum(marked[rule.name].any() for rule in rules) == len(rules) - 1  # the list of listed_ip is empty
