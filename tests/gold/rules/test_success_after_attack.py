from __future__ import annotations

import json
from datetime import timedelta

import hypothesis.strategies as st
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from gold.rules import load_rules
from gold.rules.detections import Detection
from gold.rules.evaluate_baselines import detect_all
from gold.rules.success_after_attack import SuccessAfterAttackIp
from lakehouse.settings import Settings
from lakehouse.tables.silver import EVENTS
from tests.gold.rules import naive
from tests.gold.rules.builders import NOON, Event, an_event, detections_of, events_at, histories
from tests.serving.lakes import a_login
from tests.silver.records import Row

SHIPPED = load_rules(Settings(_env_file=None))
BURST = events_at([0] * 6)
SUCCESS: Row = {"outcome": "success", "failure_reason": None}


def found(*successes: Event, attack: list[Event] = BURST) -> list[Detection]:
    return detections_of(
        "192.0.2.1", successes, rule=SHIPPED.success_after_attack_ip, followed=[(SHIPPED.brute_force_ip, attack)]
    )


@pytest.mark.parametrize(
    ("minutes", "is_found"), [(-1, False), (0, True), (179, True), (180, False)], ids=["before", "at", "soon", "later"]
)
def test_a_success_within_three_hours_after_an_attack_is_reported(minutes: float, is_found: bool) -> None:
    assert len(found(an_event(60 * minutes, number=10, outcome="success"))) == is_found


def test_a_success_without_an_attack_is_not_reported() -> None:
    assert found(an_event(60, number=10, outcome="success"), attack=events_at([0] * 5)) == []


def test_a_user_who_logged_in_from_the_address_before_the_attack_is_not_reported() -> None:
    before, after = (an_event(60 * minute, number=20 + minute, outcome="success") for minute in (-5, 5))
    other = an_event(60 * 6, number=30, outcome="success", username="u1")

    assert found(before, after) == []
    assert len(found(before, after, other)) == 1


def test_a_user_who_logged_in_on_the_device_before_the_attack_is_not_reported() -> None:
    at_home = an_event(-300, number=15, outcome="success", src_ip="192.0.2.7", device_id="laptop")
    elsewhere = [
        an_event(60 + number, number=20 + number, outcome="success", device_id=device)
        for number, device in enumerate(["laptop", "phone", None])
    ]

    assert [len(found(at_home, event)) for event in elsewhere] == [0, 1, 1]


@pytest.mark.parametrize(("is_mfa", "is_found"), [(None, True), (False, True), (True, False)], ids=str)
def test_a_success_with_a_second_factor_is_not_reported(is_mfa: bool | None, is_found: bool) -> None:
    assert len(found(an_event(60, number=10, outcome="success", is_mfa=is_mfa))) == is_found


@pytest.mark.parametrize(
    ("count", "seconds", "is_found"), [(25, 14.9, True), (24, 14.9, False), (25, 15, False)], ids=str
)
def test_a_user_whose_guesses_end_with_a_success_is_reported_even_if_known(
    count: int, seconds: float, is_found: bool
) -> None:
    before = an_event(-300, number=15, outcome="success")
    series = [an_event(3 * number, number=20 + number) for number in range(count)]
    after = an_event(3 * (count - 1) + seconds, number=90, outcome="success")

    assert len(found(before, *series, after, attack=series)) == is_found


def test_the_evidence_is_the_successes_after_the_attack() -> None:
    (detection,) = found(*(an_event(60 * minute, number=10 + minute, outcome="success") for minute in (5, 9)))

    assert json.loads(detection["evidence"]) == [["logs", 0, 15], ["logs", 0, 19]]
    assert json.loads(detection["measures"]) == {"hits": 2, "ips": 1, "successes": 2, "users": 1}
    assert (detection["first_at"], detection["severity"]) == (NOON + timedelta(minutes=5), "high")


def guesses(count: int, **values: object) -> list[Row]:
    """Guesses, a second apart, and a success a minute later."""
    rows = [a_login(offset, event_at=NOON + timedelta(seconds=offset), **values) for offset in range(count)]
    return [*rows, a_login(count, event_at=NOON + timedelta(minutes=1), **values, **SUCCESS)]


def rules_that_fire(rows: list[Row], **changes: tuple[str, ...]) -> set[str]:
    """Return the names of the rules that fire, with the given allow-lists."""
    rules = [replace(rule, allow=changes.get(rule.name, ())) for rule in SHIPPED]
    events = pl.from_arrow(pa.Table.from_pylist(rows, schema=EVENTS.arrow_schema()))
    return set(detect_all(events.lazy(), rules)["rule"].to_pylist())


def test_25_failures_and_a_success_of_one_address_are_reported_for_the_address() -> None:
    assert rules_that_fire(guesses(25)) == {"brute_force_ip", "brute_force_slow", "success_after_attack_ip"}


def test_an_address_on_the_allow_list_of_the_attack_has_no_attack_to_follow() -> None:
    allow = ("192.0.2.0/24",)

    assert rules_that_fire(guesses(25), brute_force_ip=allow, brute_force_slow=allow) == set()
    assert "success_after_attack_ip" in rules_that_fire(guesses(25), brute_force_ip=allow)


def test_guesses_at_a_user_from_many_addresses_and_a_success_are_reported_for_the_user() -> None:
    rows = guesses(16)
    for row in rows:
        row["src_ip"] = f"192.0.2.{row['offset'] % 8}"

    assert rules_that_fire(rows) == {"distributed_brute_force_user", "success_after_attack"}


RULES = st.builds(
    SuccessAfterAttackIp,
    version=st.just(1),
    window_minutes=st.sampled_from([1.0, 90.0, 180.0, 1_440.0]),
    guesses=st.sampled_from([1, 3, 10]),
    seconds=st.sampled_from([15.0, 60.0]),
    severity=st.just("high"),
    technique=st.just("T1110"),
)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(RULES, histories())
def test_the_rule_equals_a_naive_loop(rule: SuccessAfterAttackIp, events: list[Event]) -> None:
    failures = [event for event in events if event.outcome == "failure"]
    followed = [(SHIPPED.brute_force_ip, failures), (SHIPPED.lockout_burst_ip, failures)]

    assert detections_of("192.0.2.1", events, rule=rule, followed=followed) == list(
        naive.detections_of("192.0.2.1", events, rule, followed)
    )
