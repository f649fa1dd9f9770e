from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from gold.rules import load_rules
from gold.rules.detections import Detection
from gold.rules.password_spray import PasswordSpray
from lakehouse.settings import Settings
from tests.gold.rules import naive
from tests.gold.rules.builders import Event, an_event, detections_of, histories_by_entity

SHIPPED = load_rules(Settings(_env_file=None)).password_spray


def found(guesses: list[Event], rule: PasswordSpray = SHIPPED) -> list[Detection]:
    return detections_of("192.0.2.1", guesses, rule=rule)


def a_spray(*, users: int = 5, rounds: int = 3, minutes: float = 14) -> list[Event]:
    """Guesses at each user in turn, evenly over some minutes."""
    count = users * rounds
    return [
        an_event(60 * minutes * number / (count - 1), number=number, username=f"u{number % users}")
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("guesses", "is_attack"),
    [
        (a_spray(), True),
        (a_spray(users=4, rounds=4), False),
        (a_spray(users=7, rounds=2), False),
        (a_spray(minutes=59), True),
        (a_spray(minutes=75), False),
        (a_spray(minutes=5), True),
        (a_spray(minutes=4.9), False),
        (a_spray(users=30, rounds=1), False),
    ],
    ids=["spray", "few users", "few guesses", "within an hour", "slower", "within 5 minutes", "faster", "once each"],
)
def test_a_few_guesses_at_each_of_several_users_are_a_spray(guesses: list[Event], is_attack: bool) -> None:
    assert len(found(guesses)) == is_attack


def test_more_than_eight_guesses_at_one_user_before_are_not_a_spray() -> None:
    at_one_user = [an_event(number, number=number, username="u9", times=9) for number in range(1)]

    assert found([*at_one_user, *a_spray()]) == []
    assert found([at_one_user[0]._replace(times=8), *a_spray()])


@pytest.mark.parametrize(("guesses", "is_attack"), [(1, False), (3, True), (6, True), (7, False)])
def test_two_to_six_guesses_at_a_user_are_sprayed(guesses: int, is_attack: bool) -> None:
    users = [an_event(30 * number, number=number, username=f"u{number}", times=guesses) for number in range(15)]

    assert len(found(users)) == is_attack


RULES = st.builds(
    PasswordSpray,
    version=st.just(1),
    users=st.integers(2, 4),
    guesses=st.integers(2, 8),
    guesses_per_user=st.sampled_from([2, 4, 10]),
    min_minutes=st.sampled_from([0.0, 0.5, 1.0]),
    band_from=st.integers(1, 2),
    band_to=st.integers(2, 8),
    band_percent=st.sampled_from([0.0, 50.0, 60.0, 100.0]),
    window_minutes=st.sampled_from([1.0, 15.0, 60.0, 1_440.0]),
    severity=st.just("medium"),
    technique=st.just("T1110.003"),
)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(RULES, histories_by_entity())
def test_the_rule_equals_a_naive_loop(rule: PasswordSpray, histories: dict[str, list[Event]]) -> None:
    naive.assert_finds_the_same(rule, histories)
