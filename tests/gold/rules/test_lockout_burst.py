from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from gold.rules import load_rules
from gold.rules.detections import Detection
from gold.rules.lockout_burst import LockoutBurst, LockoutBurstIp
from lakehouse.settings import Settings
from tests.gold.rules import naive
from tests.gold.rules.builders import Event, an_event, detections_of, histories_by_entity

SHIPPED = load_rules(Settings(_env_file=None)).lockout_burst


def found(lockouts: list[Event], rule: LockoutBurst = SHIPPED) -> list[Detection]:
    return detections_of("alice", lockouts, rule=rule)


@pytest.mark.parametrize(
    ("minutes", "is_found"), [((0, 90, 179), True), ((0, 90, 180), False), ((0, 1), False)], ids=["3", "slow", "2"]
)
def test_three_lockouts_within_three_hours_are_reported(minutes: tuple[float, ...], is_found: bool) -> None:
    lockouts = [an_event(60 * minute, number=number, action="lockout") for number, minute in enumerate(minutes)]

    assert len(found(lockouts)) == is_found


def thresholds(rule: type[LockoutBurst]) -> st.SearchStrategy[LockoutBurst]:
    return st.builds(
        rule,
        version=st.just(1),
        lockouts=st.integers(1, 9),
        window_minutes=st.sampled_from([1.0, 60.0, 180.0, 1_440.0]),
        severity=st.just("medium"),
        technique=st.just("T1110"),
    )


RULES = thresholds(LockoutBurst) | thresholds(LockoutBurstIp)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(RULES, histories_by_entity())
def test_the_rule_equals_a_naive_loop(rule: LockoutBurst, histories: dict[str, list[Event]]) -> None:
    naive.assert_finds_the_same(rule, histories)
