from __future__ import annotations

from datetime import timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from gold.rules import load_rules
from gold.rules.detections import Detection
from gold.rules.user_enumeration import UserEnumeration
from lakehouse.settings import Settings
from tests.gold.rules import naive
from tests.gold.rules.builders import NOON, Event, an_event, detections_of, events_at, histories_by_entity

SHIPPED = load_rules(Settings(_env_file=None)).user_enumeration


def found(signals: list[Event], rule: UserEnumeration = SHIPPED) -> list[Detection]:
    return detections_of("192.0.2.1", signals, rule=rule)


@pytest.mark.parametrize(
    ("seconds", "fewest"), [(0, 6), (15, 14), (60, None)], ids=["at once", "every 15 s", "every minute"]
)
def test_more_users_than_a_bucket_holds_are_an_enumeration(seconds: float, fewest: int | None) -> None:
    users = events_at([seconds * number for number in range(fewest or 200)])

    assert len(found(users)) == (1 if fewest else 0)
    assert found(users[:-1]) == []


def test_a_user_who_fails_again_and_again_counts_once() -> None:
    assert found([an_event(number / 10, number=number, times=3) for number in range(30)]) == []


def test_a_user_counts_again_when_the_bucket_was_empty() -> None:
    five = events_at([0] * 5)
    again = [event._replace(at=NOON + timedelta(minutes=60)) for event in events_at([0] * 6)]

    assert found(five) == []
    (detection,) = found([*five, *again])
    assert detection["fired_at"] == NOON + timedelta(minutes=60)


RULES = st.builds(
    UserEnumeration,
    version=st.just(1),
    capacity=st.integers(1, 4),
    leak_seconds=st.sampled_from([1.0, 10.0, 60.0, 600.0]),
    slow_capacity=st.integers(1, 5),
    slow_leak_seconds=st.sampled_from([60.0, 3_600.0]),
    window_minutes=st.sampled_from([15.0, 60.0, 1_440.0]),
    severity=st.just("medium"),
    technique=st.just("T1589"),
)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(RULES, histories_by_entity())
def test_the_rule_equals_a_naive_loop(rule: UserEnumeration, histories: dict[str, list[Event]]) -> None:
    naive.assert_finds_the_same(rule, histories)
