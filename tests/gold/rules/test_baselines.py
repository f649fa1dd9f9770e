"""The rules over baselines, each compared with a naive loop over random histories."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from gold.rules import load_rules
from gold.rules.baseline import BaselineRule
from gold.rules.evaluate_baselines import detect_baselines
from lakehouse.settings import Settings
from lakehouse.tables.silver import EVENTS
from tests.gold.rules.naive_baselines import found_by
from tests.serving.lakes import DAY, a_login

Event = dict[str, Any]
RULES = load_rules(Settings(_env_file=None))
HOUR = timedelta(hours=1)
# Thresholds that short histories reach.
SMALL = (
    replace(RULES.new_country, user_days=2),
    replace(RULES.new_ip, user_days=1),
    replace(RULES.new_agent, user_days=3),
    replace(RULES.unusual_hour, days=6, user_days=2, logins=4, hours=1),
    replace(RULES.dormant_user, days=3),
    replace(RULES.failure_spike, days=7, failures=4, z_score=1.0),
)


def detections(events: Iterable[Event], *rules: BaselineRule) -> list[dict[str, Any]]:
    rows = pl.LazyFrame(pa.Table.from_pylist(list(events), schema=EVENTS.arrow_schema()))
    return detect_baselines(rows, rules).to_pylist()


def found(events: Iterable[Event], *rules: BaselineRule) -> list[tuple[str, str, datetime, int]]:
    return sorted(
        (row["rule"], row["entity"], row["fired_at"], json.loads(row["measures"])["hits"])
        for row in detections(events, *rules)
    )


def a_success(offset: int, *, days: float = 0, **values: Any) -> Event:
    at = DAY + timedelta(days=days)
    usual = {"outcome": "success", "failure_reason": None, "country": "DE", "agent_family": "Firefox"}
    return a_login(offset, **usual | {"event_at": at} | values)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Logins of a few users and apps over three weeks, at a few times of day, with gaps."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    count = draw(st.integers(1, 80))
    days = draw(st.lists(st.integers(0, 20), min_size=1, max_size=12))
    hours = draw(st.lists(st.integers(0, 23), min_size=1, max_size=5))
    return [_an_event(offset, chance, day=chance.choice(days), hour=chance.choice(hours)) for offset in range(count)]


def _an_event(offset: int, chance: random.Random, *, day: int, hour: int) -> Event:
    at = DAY + timedelta(days=day, hours=hour, minutes=chance.choice((0, 0, 7, 59)))
    outcome = chance.choice(("success", "success", "failure"))
    return a_login(
        offset,
        event_at=at,
        action=chance.choice(("login", "login", "login", "logout")),
        outcome=outcome,
        failure_reason="unknown_user" if outcome == "failure" and chance.random() < 0.3 else None,
        auth_method=chance.choice((None, "password", "publickey")),
        times=chance.choice((1, 1, 3)),
        username=chance.choice((None, "a", "b")),
        src_ip=chance.choice((None, "192.0.2.1", "192.0.2.2", "192.0.2.3")),
        country=chance.choice((None, "DE", "FR")),
        agent_family=chance.choice((None, "Firefox", "curl")),
        app=chance.choice((None, "portal")),
        verdict=chance.choice(("accepted",) * 5 + ("duplicate",)),
    )


@pytest.mark.parametrize("rule", SMALL, ids=lambda rule: rule.name)
@settings(max_examples=80)
@given(events=histories())
def test_a_rule_equals_a_naive_loop(rule: BaselineRule, events: list[Event]) -> None:
    assert found(events, rule) == found_by(rule, events)


@settings(max_examples=20)
@given(events=histories())
def test_what_a_rule_finds_does_not_depend_on_the_other_rules(events: list[Event]) -> None:
    together = found(events, *SMALL)

    assert together == sorted(each for rule in SMALL for each in found(events, rule))


def test_a_new_country_is_reported_once_with_its_evidence() -> None:
    events = [
        a_success(0),
        a_success(1, days=6.9, country="FR"),  # the user is not old enough
        a_success(2, days=7.5, country="JP", src_ip="192.0.2.7"),
        a_success(3, days=7.6, country="JP", src_ip="192.0.2.7"),
        a_success(4, days=9, country="JP"),
        a_success(5, days=9, country=None),
    ]

    (row,) = detections(events, RULES.new_country)

    assert (row["entity_type"], row["entity"], row["fired_at"]) == ("username", "user0001", events[2]["event_at"])
    assert (row["evidence"], row["evidence_ips"]) == ('[["logs", 0, 2]]', '["192.0.2.7"]')
    assert json.loads(row["measures"]) == {"successes": 1, "ips": 1, "hits": 1}


def test_a_failed_login_makes_nothing_known() -> None:
    guesses = [a_success(1, days=8, src_ip="192.0.2.7", outcome="failure")]
    login = a_success(2, days=9, src_ip="192.0.2.7")

    assert found([a_success(0), *guesses, login], RULES.new_ip) == [("new_ip", "user0001", login["event_at"], 1)]


def mornings(days: Sequence[int]) -> list[Event]:
    return [a_success(10 * day + hour, days=day + hour / 24) for day in days for hour in (8, 9)]


@pytest.mark.parametrize(
    ("hour", "days", "is_found"),
    [(20, 20, True), (12, 20, False), (5, 20, False), (13, 20, True), (20, 9, False)],
    ids=["evening", "three hours later", "three hours earlier", "four hours later", "few logins"],
)
def test_an_hour_far_from_all_logins_of_four_weeks_is_unusual(hour: int, days: int, *, is_found: bool) -> None:
    login = a_success(10_000, days=days + hour / 24)

    assert bool(found([*mornings(range(days)), login], RULES.unusual_hour)) == is_found


@pytest.mark.parametrize(("days", "is_found"), [(6, False), (7, True)])
def test_a_new_user_has_no_usual_hours(days: int, *, is_found: bool) -> None:
    history = [a_success(10 * day + number, days=day + 8 / 24) for day in range(days) for number in range(4)]

    assert bool(found([*history, a_success(1_000, days=days + 20 / 24)], RULES.unusual_hour)) == is_found


def test_times_of_day_near_midnight_are_near_each_other() -> None:
    nights = [a_success(day, days=day + 23 / 24) for day in range(25)]

    assert found([*nights, a_success(100, days=25 + 1 / 24)], RULES.unusual_hour) == []


@pytest.mark.parametrize(("days", "is_found"), [(29.9, False), (30, True), (400, True)])
def test_a_user_who_was_silent_for_thirty_days_is_dormant(days: float, *, is_found: bool) -> None:
    assert bool(found([a_success(0), a_success(1, days=days)], RULES.dormant_user)) == is_found


def test_a_new_user_is_not_dormant() -> None:
    assert found([a_success(0)], RULES.dormant_user) == []


def an_hour_of_failures(day: int, count: int) -> list[Event]:
    return [
        a_login(1_000 * day + number, event_at=DAY + day * 24 * HOUR + number * HOUR / 100) for number in range(count)
    ]


@pytest.mark.parametrize(
    ("usual", "count", "is_found"),
    [(2, 20, True), (2, 19, False), (30, 35, False), (30, 36, True)],
    ids=["20 failures", "19 failures", "5 more", "6 more"],
)
def test_many_more_failures_than_in_the_same_hour_of_other_days_are_a_spike(
    usual: int, count: int, *, is_found: bool
) -> None:
    history = [event for day in range(28) for event in an_hour_of_failures(day, usual)]

    rows = detections([*history, *an_hour_of_failures(28, count)], RULES.failure_spike)

    assert [row["entity"] for row in rows] == ["portal"] * is_found


def test_a_new_app_has_no_spike() -> None:
    assert found([*an_hour_of_failures(0, 1), *an_hour_of_failures(10, 90)], RULES.failure_spike) == []


@pytest.mark.parametrize("rule", [SMALL[1], SMALL[5]], ids=lambda rule: rule.name)
def test_an_entity_on_the_allow_list_has_no_detections(rule: BaselineRule) -> None:
    successes = [a_success(day, days=day, src_ip=f"192.0.2.{day}") for day in range(9)]
    failures = [event for day in range(9) for event in an_hour_of_failures(20 + day, 2 + 5 * (day == 8))]

    assert found([*successes, *failures], rule)
    assert found([*successes, *failures], replace(rule, allow=("user0001", "portal"))) == []
