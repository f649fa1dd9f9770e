from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from gold.rules.brute_force_ip import BruteForceIp
from tests.gold.rules import naive
from tests.gold.rules.builders import NOON, RULE, Event, detections_of, events_at, histories_by_entity


def found(failures: list[Event], rule: BruteForceIp = RULE) -> list[dict[str, Any]]:
    return detections_of("192.0.2.1", failures, rule=rule)


def test_six_failures_at_once_overflow_the_bucket_and_five_do_not() -> None:
    assert found(events_at([0] * 5)) == []
    (detection,) = found(events_at([0] * 6))
    assert detection["fired_at"] == NOON


def test_the_bucket_drains_one_failure_in_ten_seconds() -> None:
    assert found(events_at([0, 0, 0, 0, 0, 10])) == []
    assert len(found(events_at([0, 0, 0, 0, 0, 9.99]))) == 1


def test_a_folded_failure_counts_as_often_as_it_occurred() -> None:
    assert len(found(events_at([0], times=6))) == 1
    assert found(events_at([0], times=5)) == []


def test_twenty_failures_within_an_hour_are_an_attack_however_even() -> None:
    every_three_minutes = [180.0 * number for number in range(20)]
    (detection,) = found(events_at(every_three_minutes))

    assert detection["fired_at"] == NOON + timedelta(minutes=57)
    assert found(events_at(every_three_minutes[:19])) == []
    assert found(events_at([190.0 * number for number in range(20)])) == []


def test_measures_count_failures_users_and_hits() -> None:
    (detection,) = found([*events_at([0] * 3, times=2), *events_at([1] * 3)])

    assert json.loads(detection["measures"]) == {"failures": 6, "hits": 1, "probes": 0, "users": 3}


@pytest.mark.parametrize(
    ("rule", "fewest"), [(RULE, 6), (replace(RULE, signals=4), 4)], ids=["by the bucket", "by the window"]
)
def test_the_rule_can_not_fire_with_fewer_failures_than_it_declares(rule: BruteForceIp, fewest: int) -> None:
    assert rule.min_occurrences == fewest
    assert len(found(events_at([0] * fewest), rule)) == 1
    assert found(events_at([0] * (fewest - 1)), rule) == []


RULES = st.builds(
    BruteForceIp,
    version=st.just(1),
    capacity=st.integers(1, 6),
    leak_seconds=st.sampled_from([1.0, 10.0, 600.0, 3_600.0]),
    signals=st.integers(1, 20),
    window_minutes=st.sampled_from([60.0, 61.5, 90.0, 720.0, 1_440.0]),
    severity=st.just("high"),
    technique=st.just("T1110"),
)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(RULES, histories_by_entity())
def test_the_rule_equals_a_naive_loop(rule: BruteForceIp, histories: dict[str, list[Event]]) -> None:
    naive.assert_finds_the_same(rule, histories)
