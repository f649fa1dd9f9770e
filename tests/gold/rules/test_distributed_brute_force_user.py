from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from gold.rules import load_rules
from gold.rules.detections import Detection
from gold.rules.distributed_brute_force_user import DistributedBruteForceUser
from lakehouse.settings import Settings
from tests.gold.rules import naive
from tests.gold.rules.builders import Event, an_event, detections_of, histories_by_entity

SHIPPED = load_rules(Settings(_env_file=None)).distributed_brute_force_user


def found(guesses: list[Event], rule: DistributedBruteForceUser = SHIPPED) -> list[Detection]:
    return detections_of("alice", guesses, rule=rule)


def guesses_from(ips: int, *, countries: int = 1, count: int = 10, minutes: float = 20) -> list[Event]:
    """Guesses from each address in turn, evenly over some minutes."""
    return [
        an_event(
            60 * minutes * number / (count - 1),
            number=number,
            src_ip=f"192.0.2.{number % ips}",
            country=f"C{number % ips % countries}",
        )
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("guesses", "is_attack"),
    [
        (guesses_from(5, countries=2), True),
        (guesses_from(5), False),
        (guesses_from(4, countries=4), False),
        (guesses_from(5, countries=2, count=9), False),
        (guesses_from(8), True),
        (guesses_from(7), False),
        (guesses_from(8, countries=8, minutes=40), False),
    ],
    ids=["two countries", "one country", "four addresses", "nine guesses", "eight addresses", "seven", "slow"],
)
def test_guesses_from_countries_or_many_addresses_are_distributed(guesses: list[Event], is_attack: bool) -> None:
    assert len(found(guesses)) == is_attack


def test_an_address_without_a_country_counts_as_an_address_only() -> None:
    private = [event._replace(country=None) for event in guesses_from(5, countries=2)]

    assert found(private) == []


RULES = st.builds(
    DistributedBruteForceUser,
    version=st.just(1),
    guesses=st.integers(1, 10),
    ips=st.integers(2, 4),
    countries=st.integers(1, 3),
    many_ips=st.integers(2, 5),
    window_minutes=st.sampled_from([1.0, 30.0, 60.0, 1_440.0]),
    severity=st.just("medium"),
    technique=st.just("T1110.001"),
)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(RULES, histories_by_entity())
def test_the_rule_equals_a_naive_loop(rule: DistributedBruteForceUser, histories: dict[str, list[Event]]) -> None:
    naive.assert_finds_the_same(rule, histories)
