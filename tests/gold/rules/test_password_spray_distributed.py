from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from gold.rules import load_rules
from gold.rules.detections import Detection
from gold.rules.password_spray_distributed import PasswordSprayDistributed
from lakehouse.settings import Settings
from tests.gold.rules import naive
from tests.gold.rules.builders import Event, an_event, detections_of, histories_by_entity

SHIPPED = load_rules(Settings(_env_file=None)).password_spray_distributed


def found(logins: list[Event], rule: PasswordSprayDistributed = SHIPPED) -> list[Detection]:
    return detections_of("mail", logins, rule=rule)


def spray(
    *, guesses: int = 25, users: int = 8, ips: int = 5, seconds: float = 36, first: int = 0, **values: Any
) -> list[Event]:
    """Guesses of an app, at so many users in turn, from so many addresses in turn; `first` numbers them."""
    return [
        an_event(
            seconds * number,
            number=first + number,
            **{"username": f"u{number % users}", "src_ip": f"192.0.2.{number % ips}", **values},
        )
        for number in range(guesses)
    ]


def logins(count: int) -> list[Event]:
    return [an_event(number, number=1_000 + number, outcome="success") for number in range(count)]


@pytest.mark.parametrize(
    ("events", "is_found"),
    [
        (spray(), True),
        (spray(guesses=24), False),
        (spray(users=7), False),
        (spray(ips=4), False),
        (spray(seconds=38), False),
        (spray(guesses=41, seconds=20), True),
        (spray(guesses=60, users=8, ips=5, seconds=1), True),
        (spray(users=8, ips=9), False),
        (sorted([*spray(), *logins(75)]), True),
        (sorted([*spray(), *logins(76)]), False),
    ],
    ids=[
        "a spray", "too few guesses", "too few users", "too few addresses", "too slow", "more guesses",
        "more guesses than five per user, after a hit", "more addresses than users", "a quarter of the logins",
        "less than a quarter",
    ],
)  # fmt: skip
def test_guesses_at_many_users_from_several_addresses_are_reported(events: list[Event], is_found: bool) -> None:
    assert len(found(events)) == is_found


def test_more_than_five_guesses_per_user_are_not_a_spray() -> None:
    assert found(spray(guesses=9, times=6, users=9)) == []


def test_an_attack_on_one_user_at_the_same_time_does_not_hide_a_spray() -> None:
    from_one, from_many = (spray(guesses=60, username="u99", ips=ips, seconds=1, first=100) for ips in (1, 60))

    assert len(found(sorted([*spray(), *from_one]))) == 1
    assert len(found(sorted([*spray(), *from_many]))) == 1
    assert found(sorted([*spray(guesses=24), *from_one])) == []


def test_the_evidence_is_the_guesses() -> None:
    (detection,) = found(sorted([*spray(), *logins(3)]))

    assert json.loads(detection["measures"]) == {"failures": 25, "hits": 1, "ips": 5, "users": 8}
    assert len(json.loads(detection["evidence"])) == 25


RULES = st.builds(
    PasswordSprayDistributed,
    version=st.just(1),
    ips=st.integers(2, 3),
    users=st.integers(1, 3),
    guesses=st.integers(1, 10),
    guesses_per_user=st.sampled_from([1.0, 2.5, 5.0]),
    users_per_ip=st.sampled_from([0.0, 1.0]),
    percent=st.sampled_from([0.0, 50.0, 100.0]),
    window_minutes=st.sampled_from([1.0, 60.0, 1_440.0]),
    severity=st.just("medium"),
    technique=st.just("T1110.003"),
)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(RULES, histories_by_entity())
def test_the_rule_equals_a_naive_loop(rule: PasswordSprayDistributed, histories: dict[str, list[Event]]) -> None:
    known = {entity: [event for event in events if event.src_ip] for entity, events in histories.items()}

    naive.assert_finds_the_same(rule, known)
