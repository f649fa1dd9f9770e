from __future__ import annotations

import json

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from gold.rules import load_rules
from gold.rules.detections import Detection
from gold.rules.mfa_fatigue import MfaFatigue
from lakehouse.settings import Settings
from tests.gold.rules import naive
from tests.gold.rules.builders import Event, an_event, detections_of, histories_by_entity

SHIPPED = load_rules(Settings(_env_file=None)).mfa_fatigue


def found(events: list[Event], rule: MfaFatigue = SHIPPED) -> list[Detection]:
    return detections_of("alice", events, rule=rule)


def refused(*minutes: float) -> list[Event]:
    return [an_event(60 * minute, number=number) for number, minute in enumerate(minutes)]


def accepted(minute: float) -> Event:
    return an_event(60 * minute, number=100, outcome="success")


@pytest.mark.parametrize(
    ("events", "severities"),
    [
        (refused(0, 2, 4, 6, 8), ["medium"]),
        (refused(0, 2, 4, 6), []),
        (refused(0, 2, 4, 6, 10), []),
        ([*refused(0, 2, 4, 6, 8), accepted(17)], ["high"]),
        ([*refused(0, 2, 4, 6, 8), accepted(18)], ["medium"]),
        ([*refused(0, 2, 4, 6), accepted(7), *refused(8)], []),
    ],
    ids=["five in 10 minutes", "four", "slow", "a success soon after", "a success later", "a success between"],
)
def test_repeated_failures_of_the_second_factor_are_reported(events: list[Event], severities: list[str]) -> None:
    assert [detection["severity"] for detection in found(events)] == severities


def test_a_success_elsewhere_does_not_end_the_series() -> None:
    elsewhere = accepted(5)._replace(src_ip="192.0.2.9")

    assert [detection["severity"] for detection in found(sorted([*refused(0, 2, 4, 6, 8), elsewhere]))] == ["medium"]


def test_the_success_is_part_of_the_evidence() -> None:
    (detection,) = found([*refused(0, 2, 4, 6, 8), accepted(9)])

    assert json.loads(detection["measures"]) == {"failures": 5, "hits": 2, "ips": 1, "successes": 1}
    assert detection["last_at"] == accepted(9).at


RULES = st.builds(
    MfaFatigue,
    version=st.just(1),
    failures=st.integers(1, 9),
    window_minutes=st.sampled_from([1.0, 10.0, 60.0, 1_440.0]),
    severity=st.just("medium"),
    severity_after_success=st.just("high"),
    technique=st.just("T1621"),
)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(RULES, histories_by_entity())
def test_the_rule_equals_a_naive_loop(rule: MfaFatigue, histories: dict[str, list[Event]]) -> None:
    naive.assert_finds_the_same(rule, histories)
