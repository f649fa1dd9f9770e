from __future__ import annotations

import json

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from gold.rules import load_rules
from gold.rules.concurrent_sessions import ConcurrentSessions
from gold.rules.detections import Detection
from lakehouse.settings import Settings
from tests.gold.rules import naive
from tests.gold.rules.builders import Event, an_event, detections_of, histories_by_entity

SHIPPED = load_rules(Settings(_env_file=None)).concurrent_sessions


def found(successes: list[Event], rule: ConcurrentSessions = SHIPPED) -> list[Detection]:
    return detections_of("alice", successes, rule=rule)


@pytest.mark.parametrize(
    ("sessions", "minutes", "is_found"),
    [("abc", 17, True), ("abc", 17.5, False), ("aba", 1, False)],
    ids=["three", "too slow", "two"],
)
def test_three_sessions_within_35_minutes_are_reported(sessions: str, minutes: float, is_found: bool) -> None:
    logins = [
        an_event(60 * minutes * number, number=number, outcome="success", session_id=session)
        for number, session in enumerate(sessions)
    ]

    assert len(found(logins)) == is_found


def test_sessions_of_different_apps_are_not_counted_together() -> None:
    logins = [
        an_event(60 * number, number=number, outcome="success", session_id=f"s{number}", app=app)
        for number, app in enumerate(["mail", "vpn", "wiki", "mail"])
    ]
    third = an_event(300, number=9, outcome="success", session_id="s9", app="mail")

    assert found(logins) == []
    (detection,) = found([*logins, third])
    assert json.loads(detection["measures"]) == {"hits": 1, "ips": 1, "sessions": 3, "successes": 3}


RULES = st.builds(
    ConcurrentSessions,
    version=st.just(1),
    sessions=st.integers(2, 4),
    window_minutes=st.sampled_from([1.0, 35.0, 1_440.0]),
    severity=st.just("low"),
    technique=st.just("T1550.004"),
)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(RULES, histories_by_entity())
def test_the_rule_equals_a_naive_loop(rule: ConcurrentSessions, histories: dict[str, list[Event]]) -> None:
    naive.assert_finds_the_same(rule, histories)
