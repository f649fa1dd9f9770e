from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from gold.rules import load_rules
from gold.rules.credential_stuffing import CredentialStuffing
from gold.rules.detections import Detection
from lakehouse.settings import Settings
from tests.gold.rules import naive
from tests.gold.rules.builders import Event, an_event, detections_of, histories_by_entity

SHIPPED = load_rules(Settings(_env_file=None)).credential_stuffing


def found(guesses: list[Event], rule: CredentialStuffing = SHIPPED) -> list[Detection]:
    return detections_of("192.0.2.1", guesses, rule=rule)


def guesses_at(users: int, *, each: int = 2, minutes: float = 10) -> list[Event]:
    """Guesses at each user in turn, evenly over some minutes."""
    count = users * each
    return [
        an_event(60 * minutes * number / (count - 1), number=number, username=f"u{number // each}")
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("guesses", "is_attack"),
    [
        (guesses_at(15), True),
        (guesses_at(14), False),
        (guesses_at(24, each=1), False),
        (guesses_at(25, each=1), True),
        (guesses_at(15, minutes=20), False),
        (guesses_at(15, each=3), False),
    ],
    ids=["two each", "few users", "few guesses", "one each", "slow", "three each"],
)
def test_one_or_two_guesses_at_each_of_many_users_are_stuffing(guesses: list[Event], is_attack: bool) -> None:
    assert len(found(guesses)) == is_attack


RULES = st.builds(
    CredentialStuffing,
    version=st.just(1),
    users=st.integers(2, 5),
    guesses=st.integers(2, 8),
    guesses_per_user=st.sampled_from([1, 2, 7]),
    window_minutes=st.sampled_from([1.0, 15.0, 60.0, 1_440.0]),
    severity=st.just("medium"),
    technique=st.just("T1110.004"),
)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(RULES, histories_by_entity())
def test_the_rule_equals_a_naive_loop(rule: CredentialStuffing, histories: dict[str, list[Event]]) -> None:
    naive.assert_finds_the_same(rule, histories)
