from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from gold.rules import load_rules
from gold.rules.addresses import AddressSet
from gold.rules.detections import Detection
from gold.rules.several_countries import SeveralCountries
from lakehouse.settings import Settings
from tests.gold.rules import naive
from tests.gold.rules.builders import Event, an_event, detections_of, histories_by_entity

SHIPPED = load_rules(Settings(_env_file=None)).several_countries


def found(successes: list[Event], rule: SeveralCountries = SHIPPED) -> list[Detection]:
    return detections_of("alice", successes, rule=rule)


@pytest.mark.parametrize(
    ("minutes", "country", "is_found"),
    [(29, "FR", True), (30, "FR", False), (29, "DE", False)],
    ids=["soon", "later", "the same country"],
)
def test_two_countries_within_half_an_hour_are_reported(minutes: float, country: str, is_found: bool) -> None:
    here = an_event(outcome="success")
    there = an_event(60 * minutes, number=1, outcome="success", country=country)

    assert len(found([here, there])) == is_found


def test_logins_from_a_proxy_do_not_count() -> None:
    here = an_event(outcome="success")
    there = an_event(60, number=1, outcome="success", country="FR", src_ip="198.51.100.7")
    rule = replace(SHIPPED, proxies=AddressSet(["198.51.100.0/24"]))

    assert found([here, there]) != []
    assert found([here, there], rule) == []


RULES = st.builds(
    SeveralCountries,
    version=st.just(1),
    proxies=st.sampled_from([AddressSet(), AddressSet(["192.0.2.0/31"])]),
    countries=st.integers(2, 3),
    window_minutes=st.sampled_from([1.0, 30.0, 60.0, 1_440.0]),
    severity=st.just("medium"),
    technique=st.just("T1078"),
)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(RULES, histories_by_entity())
def test_the_rule_equals_a_naive_loop(rule: SeveralCountries, histories: dict[str, list[Event]]) -> None:
    known = {entity: [event for event in events if event.country] for entity, events in histories.items()}

    naive.assert_finds_the_same(rule, known)
