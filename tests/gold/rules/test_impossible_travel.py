from __future__ import annotations

import json

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from gold.rules import load_rules
from gold.rules.addresses import AddressSet
from gold.rules.countries import distance_km, positions
from gold.rules.detections import Detection
from gold.rules.impossible_travel import ImpossibleTravel
from lakehouse.settings import Settings
from tests.gold.rules import naive
from tests.gold.rules.builders import Event, an_event, detections_of, histories_by_entity

SHIPPED = load_rules(Settings(_env_file=None)).impossible_travel


def found(logins: list[Event], rule: ImpossibleTravel = SHIPPED) -> list[Detection]:
    return detections_of("alice", logins, rule=rule)


def login(hour: float, country: str, *, src_ip: str = "192.0.2.1") -> Event:
    return an_event(3_600 * hour, number=int(hour * 60), outcome="success", country=country, src_ip=src_ip)


# From Berlin it is 878 km to Paris, 1,613 km to Moscow, 6,718 km to Washington and 8,925 km to Tokyo.
@pytest.mark.parametrize(
    ("hours", "country", "is_found"),
    [
        (0, "US", True),
        (7.4, "US", True),
        (7.5, "US", False),
        (9.9, "JP", True),
        (10, "JP", False),
        (1.7, "RU", True),
        (1.8, "RU", False),
        (0, "FR", False),
        (0, "DE", False),
        (0, "TK", False),
    ],
    ids=str,
)
def test_a_login_farther_away_than_a_flight_is_reported(hours: float, country: str, is_found: bool) -> None:
    assert len(found([login(0, "DE"), login(hours, country)])) == is_found


def test_only_successive_logins_are_compared() -> None:
    assert found([login(0, "DE"), login(5, "RU"), login(14, "JP")]) == []
    assert len(found([login(0, "DE"), login(14, "JP"), login(15, "DE")])) == 1


def test_a_login_from_a_proxy_is_left_out() -> None:
    logins = [login(0, "DE"), login(1, "JP", src_ip="198.51.100.7"), login(2, "DE")]

    assert len(found(logins)) == 1
    assert found(logins, replace(SHIPPED, proxies=AddressSet(["198.51.100.0/24"]))) == []


def test_hits_of_two_days_are_two_detections_and_each_has_its_own_hits() -> None:
    places = ["DE", "JP", "DE", "JP"]
    days = [[login(24 * day + hour, place) for hour, place in enumerate(places)] for day in range(3)]

    found_each_day = found([event for day in days for event in day])

    assert [json.loads(row["measures"])["hits"] for row in found_each_day] == [3, 3, 3]


def test_a_user_between_two_far_countries_all_day_is_one_detection() -> None:
    assert len(found([login(hour / 4, "DE" if hour % 2 else "JP") for hour in range(40)])) == 1


@pytest.mark.parametrize(
    ("ends", "km"), [("DE FR", 878), ("US JP", 10_925), ("NZ ES", 19_850), ("FJ WS", 1_140)], ids=str
)
def test_distances_are_those_of_capitals(ends: str, km: float) -> None:
    here, there = (positions()[country] for country in ends.split())

    assert distance_km(here, there) == pytest.approx(km, rel=0.02)


RULES = st.builds(
    ImpossibleTravel,
    version=st.just(1),
    km_per_hour=st.sampled_from([100.0, 900.0, 5_000.0]),
    km=st.sampled_from([0.0, 1_000.0, 9_000.0]),
    proxies=st.sampled_from([AddressSet(), AddressSet(["192.0.2.0/31"])]),
    window_minutes=st.sampled_from([60.0, 720.0, 1_440.0]),
    severity=st.just("medium"),
    technique=st.just("T1078"),
)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(RULES, histories_by_entity())
def test_the_rule_equals_a_naive_loop(rule: ImpossibleTravel, histories: dict[str, list[Event]]) -> None:
    known = {entity: [event for event in events if event.country] for entity, events in histories.items()}

    naive.assert_finds_the_same(rule, known)
