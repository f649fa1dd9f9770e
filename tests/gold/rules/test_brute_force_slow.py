from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from gold.rules.brute_force_slow import BruteForceSlow
from gold.rules.detections import Detection
from tests.gold.rules import naive
from tests.gold.rules.builders import NOON, Event, detections_of, events_at, histories_by_entity

RULE = BruteForceSlow(version=1, capacity=10, leak_seconds=60, window_minutes=60, severity="medium", technique="T1110")


def found(signals: list[Event], rule: BruteForceSlow = RULE) -> list[Detection]:
    return detections_of("192.0.2.1", signals, rule=rule)


def test_eleven_signals_at_once_overflow_the_bucket_and_ten_do_not() -> None:
    assert found(events_at([0] * 10)) == []
    (detection,) = found(events_at([0] * 11))
    assert (detection["rule"], detection["fired_at"]) == ("brute_force_slow", NOON)


def test_a_signal_every_quarter_of_a_minute_overflows_the_bucket_and_one_a_minute_does_not() -> None:
    assert len(found(events_at([15.0 * number for number in range(18)]))) == 1
    assert found(events_at([60.0 * number for number in range(200)])) == []


RULES = st.builds(
    BruteForceSlow,
    version=st.just(1),
    capacity=st.integers(1, 12),
    leak_seconds=st.sampled_from([10.0, 60.0, 3_600.0]),
    window_minutes=st.sampled_from([60.0, 90.0, 1_440.0]),
    severity=st.just("medium"),
    technique=st.just("T1110"),
)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(RULES, histories_by_entity())
def test_the_rule_equals_a_naive_loop(rule: BruteForceSlow, histories: dict[str, list[Event]]) -> None:
    naive.assert_finds_the_same(rule, histories)
