from __future__ import annotations

import json

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from gold.rules import load_rules
from gold.rules.detections import Detection
from gold.rules.session_replay import SessionReplay
from lakehouse.settings import Settings
from tests.gold.rules import naive
from tests.gold.rules.builders import Event, an_event, detections_of, histories_by_entity

SHIPPED = load_rules(Settings(_env_file=None)).session_replay
FIREFOX = {"agent_family": "Firefox", "os_family": "Linux"}


def found(events: list[Event], rule: SessionReplay = SHIPPED) -> list[Detection]:
    return detections_of("session1", events, rule=rule)


@pytest.mark.parametrize(
    ("changes", "is_found"),
    [
        ({}, False),
        ({"agent_family": "Chrome"}, True),
        ({"os_family": "Windows"}, True),
        ({"os_family": None}, True),
        ({"agent_family": None, "os_family": None}, False),
        ({"country": "FR"}, True),
        ({"country": None}, False),
        ({"src_ip": "192.0.2.9"}, False),
    ],
    ids=str,
)
def test_another_client_or_country_in_a_session_is_reported(changes: dict[str, str | None], is_found: bool) -> None:
    first = an_event(outcome="success", **FIREFOX)
    second = an_event(60, number=1, action="logout", outcome=None, **(FIREFOX | changes))

    assert len(found([first, second])) == is_found


def test_the_evidence_is_counted() -> None:
    (detection,) = found([an_event(**FIREFOX), an_event(60, number=1, country="FR", username="u1")])

    assert json.loads(detection["measures"]) == {
        "clients": 1, "countries": 2, "events": 2, "hits": 1, "ips": 1, "users": 2,
    }  # fmt: skip


RULES = st.builds(
    SessionReplay,
    version=st.just(1),
    clients=st.integers(2, 4),
    countries=st.integers(2, 4),
    window_minutes=st.sampled_from([30.0, 180.0, 1_440.0]),
    severity=st.just("medium"),
    technique=st.just("T1539"),
)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(RULES, histories_by_entity())
def test_the_rule_equals_a_naive_loop(rule: SessionReplay, histories: dict[str, list[Event]]) -> None:
    naive.assert_finds_the_same(rule, histories)
