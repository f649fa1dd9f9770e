"""The planted attacks, and the ground truth file that describes them."""

from __future__ import annotations

import tomllib
from collections import Counter
from datetime import datetime
from itertools import islice, pairwise
from typing import Any

import iptocc
import msgspec
import pytest

from lakehouse.conf import CLONED
from lakehouse.errors import UsageError
from producer.attacks import SCENARIOS
from producer.events import DAY_SECONDS, SECOND, instant_of
from producer.generate import batch
from producer.ground_truth import NOISE
from producer.ip_blocks import ATTACKER_BLOCKS, COUNTRIES, Country, distance_km, random_address
from producer.long_attacks import DAYS
from producer.long_attacks import SCENARIOS as LONG_ATTACKS
from producer.look_alikes import SCENARIOS as LOOK_ALIKES
from tests.producer.test_generate import END, START, a_batch, a_plan


class Planted:
    """A batch as the demo sends it, by event id, and its ground truth file."""

    def __init__(self) -> None:
        stream, records = a_batch(20_000, users=1000)
        self.truth: dict[str, Any] = msgspec.json.decode(stream.truth.to_json())
        self.events: dict[str, dict[str, Any]] = {
            made.event_id.decode(): msgspec.json.decode(made.value) for made in records if made.event_id and made.value
        }

    def cases(self) -> list[dict[str, Any]]:
        return [*self.truth["attacks"], *self.truth["look_alikes"]]

    def attacks(self, scenario: str) -> list[dict[str, Any]]:
        return [attack for attack in self.truth["attacks"] if attack["scenario"] == scenario]

    def look_alikes(self, scenario: str) -> list[dict[str, Any]]:
        return [case for case in self.truth["look_alikes"] if case["scenario"] == scenario]

    def events_of(self, attack: dict[str, Any]) -> list[dict[str, Any]]:
        return [self.events[event_id] for event_id in attack["event_ids"]]


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted()


def seconds_of(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["event_at"]).timestamp()


def fullest_bucket(events: list[dict[str, Any]], *, leak_seconds: float) -> float:
    """Return the highest level of a leaky bucket: each event adds one, and one leaks every `leak_seconds`."""
    level = fullest = 0.0
    for before, event in pairwise([events[0], *events]):
        level = max(0.0, level - (seconds_of(event) - seconds_of(before)) / leak_seconds) + 1
        fullest = max(fullest, level)
    return fullest


def test_every_scenario_occurs_as_often_as_the_cases_require() -> None:
    stream, _ = a_batch(20_000, cases=3, attacks=0.0, look_alikes=0.0)
    truth = msgspec.json.decode(stream.truth.to_json())
    for kind, scenarios in (("attacks", SCENARIOS), ("look_alikes", LOOK_ALIKES)):
        planted = Counter(case["scenario"] for case in truth[kind])
        assert planted == {scenario.__name__: 3 for scenario in scenarios}


def test_attacks_on_baselines_occur_in_long_batches_as_often_as_the_cases_require() -> None:
    for days, occurrences in ((DAYS, 2), (DAYS - 1, 0)):
        end = START + days * DAY_SECONDS * SECOND
        stream = batch(a_plan(cases=2, attacks=0.0, look_alikes=0.0), events=5_000, end=end)
        for _ in stream:
            pass
        planted = Counter(attack.scenario for attack in stream.truth.content().attacks)
        assert {planted[scenario.__name__] for scenario in LONG_ATTACKS} == {occurrences}
        assert all(attack.last_at <= instant_of(end) for attack in stream.truth.content().attacks)


def test_more_cases_than_a_batch_has_room_for_are_refused() -> None:
    with pytest.raises(UsageError, match=r"1,000 events are too few: 3 cases .*higher --events"):
        batch(a_plan(cases=3), events=1_000, end=END)


def test_a_demo_plants_every_scenario(planted: Planted) -> None:
    scenarios = Counter(attack["scenario"] for attack in planted.truth["attacks"])
    assert set(scenarios) == {scenario.__name__ for scenario in SCENARIOS}
    assert scenarios["brute_force"] >= 2


def test_attacks_have_about_the_requested_share_of_the_records(planted: Planted) -> None:
    assert planted.truth["counts"]["attack"] == pytest.approx(1_000, rel=0.1)
    assert planted.truth["counts"]["records"] == 20_000


def test_the_truth_file_names_the_entity_the_time_and_every_event_of_an_attack(planted: Planted) -> None:
    for attack in planted.truth["attacks"]:
        events = planted.events_of(attack)
        assert attack["is_complete"]
        made_for = attack["expected"][0]
        assert {event[made_for["entity_type"]] for event in events} == {made_for["entity"]}
        assert {event["src_ip"] for event in events} == set(attack["sources"])
        assert {event["username"] for event in events} == set(attack["users"])
        times = [datetime.fromisoformat(attack[name]).timestamp() for name in ("first_at", "last_at")]
        assert [seconds_of(events[0]), seconds_of(events[-1])] == times


def test_no_background_event_has_the_address_of_an_attack(planted: Planted) -> None:
    of_attacks = {event_id for attack in planted.truth["attacks"] for event_id in attack["event_ids"]}
    attackers = {
        each["entity"]
        for attack in planted.truth["attacks"]
        for each in attack["expected"]
        if each["entity_type"] == "src_ip"
    }
    assert attackers.isdisjoint(
        event["src_ip"] for event_id, event in planted.events.items() if event_id not in of_attacks
    )


def test_a_brute_force_is_far_above_both_thresholds(planted: Planted) -> None:
    rule = tomllib.loads((CLONED / "detections.toml").read_text())["brute_force_ip"]
    for attack in planted.attacks("brute_force"):
        failed_at = [seconds_of(event) for event in planted.events_of(attack) if event.get("outcome") == "failure"]
        level = last = 0.0
        for at in failed_at:
            level = max(level - (at - last) / rule["leak_seconds"], 0.0) + 1
            last = at
        assert level > 3 * rule["capacity"]
        assert len(failed_at) >= 1.5 * rule["signals"]
        assert failed_at[-1] - failed_at[0] < 60 * rule["window_minutes"]


def test_mistakes_of_users_stay_below_the_thresholds(planted: Planted) -> None:
    of_attacks = {event_id for attack in planted.cases() for event_id in attack["event_ids"]}
    failures = Counter(
        (event["src_ip"], event["event_at"][:13])
        for event_id, event in planted.events.items()
        if event.get("outcome") == "failure" and event_id not in of_attacks
    )
    assert max(failures.values()) <= 5


def test_a_password_spray_tries_few_passwords_on_many_users(planted: Planted) -> None:
    for attack in planted.attacks("password_spray"):
        tries = Counter(event["username"] for event in planted.events_of(attack))
        assert len(tries) >= 5
        assert sum(tries.values()) >= 15
        assert max(tries.values()) <= 8


def test_credential_stuffing_tries_each_of_many_names_twice_at_most(planted: Planted) -> None:
    for attack in planted.attacks("credential_stuffing"):
        events = planted.events_of(attack)
        tries = Counter(event["username"] for event in events)
        assert len(tries) >= 15
        assert len(events) >= 25
        assert max(tries.values()) <= 2
        assert seconds_of(events[-1]) - seconds_of(events[0]) < 15 * 60
        assert fullest_bucket(events[::2], leak_seconds=60) > 11, "it must trigger user_enumeration as well"


def test_an_enumeration_tries_names_that_no_user_has(planted: Planted) -> None:
    for attack in planted.attacks("enumeration"):
        events = planted.events_of(attack)
        assert {event["failure_reason"] for event in events} == {"unknown_user"}
        assert len({event["username"] for event in events}) == len(events) >= 20


def test_a_success_after_an_attack_comes_last_and_from_the_same_address(planted: Planted) -> None:
    for attack in planted.attacks("success_after_attack"):
        *failures, success = planted.events_of(attack)
        assert {event["outcome"] for event in failures} == {"failure"}
        assert len(failures) >= 25
        assert success["outcome"] == "success"
        assert {event["src_ip"] for event in failures} == {success["src_ip"]}


def test_impossible_travel_is_two_successes_in_two_countries_within_half_an_hour(planted: Planted) -> None:
    for attack in planted.attacks("impossible_travel"):
        home, abroad = planted.events_of(attack)
        assert {home["outcome"], abroad["outcome"]} == {"success"}
        assert iptocc.country_code(home["src_ip"]) != iptocc.country_code(abroad["src_ip"])
        assert seconds_of(abroad) - seconds_of(home) < 30 * 60


def test_lockouts_are_three_or_more_within_three_hours(planted: Planted) -> None:
    for attack in planted.attacks("lockouts"):
        locked_at = [seconds_of(event) for event in planted.events_of(attack) if event["action"] == "lockout"]
        assert len(locked_at) >= 3
        assert locked_at[-1] - locked_at[0] < 180 * 60


def test_mfa_fatigue_is_many_failures_of_the_second_factor_and_then_a_success(planted: Planted) -> None:
    for attack in planted.attacks("mfa_fatigue"):
        *refused, accepted = planted.events_of(attack)
        assert {event["failure_reason"] for event in refused} == {"mfa_failed"}
        assert len(refused) >= 5
        assert (accepted["outcome"], accepted["is_mfa"]) == ("success", True)
        assert seconds_of(accepted) - seconds_of(refused[0]) < 10 * 60


def test_a_success_after_a_distributed_attack_is_from_one_of_its_addresses(planted: Planted) -> None:
    for attack in planted.attacks("success_after_distributed"):
        *failures, success = planted.events_of(attack)
        assert {event["outcome"] for event in failures} == {"failure"}
        assert len({event["src_ip"] for event in failures}) >= 8
        assert (success["outcome"], success["src_ip"] in {event["src_ip"] for event in failures}) == ("success", True)


def test_a_distributed_spray_tries_each_user_of_an_app_a_few_times_from_several_addresses(planted: Planted) -> None:
    for attack in planted.attacks("distributed_spray"):
        events = planted.events_of(attack)
        assert len(events) >= 25
        assert len({event["src_ip"] for event in events}) >= 5
        assert len({event["username"] for event in events}) >= 8
        assert max(Counter(event["username"] for event in events).values()) <= 5
        assert seconds_of(events[-1]) - seconds_of(events[0]) < 15 * 60


def test_a_replayed_session_has_two_addresses_and_two_agents(planted: Planted) -> None:
    for attack in planted.attacks("session_replay"):
        opened, replayed = planted.events_of(attack)
        assert opened["session_id"] == replayed["session_id"]
        assert opened["src_ip"] != replayed["src_ip"]
        assert opened["user_agent"] != replayed["user_agent"]


def failure_share(events: list[dict[str, Any]]) -> float:
    return sum(event.get("outcome") == "failure" for event in events) / len(events)


@pytest.mark.parametrize(
    ("scenario", "users", "mistakes"), [("busy_nat", 50, (0.08, 0.1)), ("office_after_holiday", 50, (0.12, 0.15))]
)
def test_many_users_share_an_address_and_some_mistype_their_password(
    planted: Planted, scenario: str, users: int, mistakes: tuple[float, float]
) -> None:
    for case in planted.look_alikes(scenario):
        events = planted.events_of(case)
        assert len(case["sources"]) == 1
        assert len(case["users"]) >= users
        assert mistakes[0] <= failure_share(events) <= mistakes[1]


def test_a_user_with_a_forgotten_password_waits_until_the_account_is_unlocked(planted: Planted) -> None:
    for case in planted.look_alikes("forgotten_password"):
        *guesses, locked, guess, _, success = planted.events_of(case)
        assert len(guesses) == 5
        assert (locked["action"], success["outcome"]) == ("lockout", "success")
        assert seconds_of(guess) - seconds_of(locked) > 15 * 60


def test_a_traveller_flies_no_faster_than_an_airliner(planted: Planted) -> None:
    by_code = {country.code: country for country in COUNTRIES}
    for case in planted.look_alikes("traveller"):
        events = planted.events_of(case)
        places = [by_code[str(iptocc.country_code(event["src_ip"]))] for event in events]
        (leaves,) = [number for number, (here, there) in enumerate(pairwise(places)) if here != there]
        hours = (seconds_of(events[leaves + 1]) - seconds_of(events[leaves])) / 3_600
        assert distance_km(places[leaves], places[leaves + 1]) / hours < 900


def test_an_expired_job_tries_every_five_minutes(planted: Planted) -> None:
    for case in planted.look_alikes("expired_batch_job"):
        events = planted.events_of(case)
        assert {event["failure_reason"] for event in events} == {"password_expired"}
        gaps = [seconds_of(after) - seconds_of(before) for before, after in pairwise(events)]
        assert min(gaps) > 290
        assert max(gaps) < 310


def test_users_of_a_vpn_log_in_at_home_and_then_through_its_address(planted: Planted) -> None:
    for case in planted.look_alikes("vpn_egress"):
        (egress, _) = Counter(event["src_ip"] for event in planted.events_of(case)).most_common(1)[0]
        through = [event for event in planted.events_of(case) if event["src_ip"] == egress]
        at_home = [event for event in planted.events_of(case) if event["src_ip"] != egress]
        assert {event["username"] for event in through} == {event["username"] for event in at_home}
        assert {event["app"] for event in at_home} == {"vpn"}


def test_a_client_offers_three_keys_before_it_is_accepted(planted: Planted) -> None:
    for case in planted.look_alikes("three_keys"):
        events = planted.events_of(case)
        assert {event["auth_method"] for event in events} == {"publickey"}
        assert [event["outcome"] for event in events] == ["failure", "failure", "failure", "success"] * 8


def test_a_demo_plants_every_look_alike(planted: Planted) -> None:
    assert {case["scenario"] for case in planted.truth["look_alikes"]} == {
        scenario.__name__ for scenario in LOOK_ALIKES
    }


def test_the_truth_of_a_stream_that_ends_early_lists_only_records_that_were_taken() -> None:
    stream = batch(a_plan(), events=20_000, end=END)
    taken = {made.event_id.decode() for made in islice(stream, 4_000) if made.event_id}
    truth = msgspec.json.decode(stream.truth.to_json())
    cases = [*truth["attacks"], *truth["look_alikes"]]
    planted_ids = [event_id for case in cases for event_id in case["event_ids"]]
    assert truth["counts"]["records"] == 4_000
    assert len(planted_ids) == truth["counts"]["attack"] + truth["counts"]["look_alike"] > 0
    assert taken.issuperset(planted_ids)


def test_an_attack_that_the_stream_did_not_finish_is_marked() -> None:
    stream = batch(a_plan(), events=20_000, end=END)
    record = next(record for record in stream if stream.truth.attacks)
    (case,) = stream.truth.content().attacks

    assert (case.is_complete, case.event_ids) == (False, ((record.event_id or b"").decode(),))
    assert case.first_at == case.last_at == stream.truth.content().end


def test_a_summary_has_no_plural_for_one_attack() -> None:
    stream = batch(a_plan(), events=20_000, end=END)
    next(record for record in stream if stream.truth.attacks)

    assert str(stream.truth).startswith("1 planted attack (1 ")


def test_the_summary_counts_attacks_look_alikes_and_noise() -> None:
    stream, _ = a_batch(20_000, users=1000)
    attacks, look_alikes = len(stream.truth.attacks), len(stream.truth.look_alikes)
    noise = sum(stream.truth.counts[kind] for kind in NOISE)
    summary = str(stream.truth)
    assert summary.startswith(f"{attacks} planted attacks (")
    assert f"{look_alikes} look-alikes (" in summary
    assert f"{noise} noise records ({stream.truth.counts['broken']} broken, " in summary


@pytest.mark.parametrize("country", COUNTRIES, ids=lambda country: country.code)
def test_addresses_of_users_are_registered_in_their_country(country: Country) -> None:
    rng = a_plan().rng("addresses")
    addresses = [random_address(rng, block) for block in country.blocks for _ in range(20)]
    assert {iptocc.country_code(address) for address in addresses} == {country.code}


@pytest.mark.parametrize("code", ATTACKER_BLOCKS)
def test_addresses_of_attackers_are_registered_in_their_country(code: str) -> None:
    rng = a_plan().rng("addresses")
    addresses = [random_address(rng, block) for block in ATTACKER_BLOCKS[code] for _ in range(20)]
    assert {iptocc.country_code(address) for address in addresses} == {code}
