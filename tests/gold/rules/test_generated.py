"""The rules on generated events: quiet without attacks, and every planted attack that they look for is found."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest

from gold.rules import load_rules
from gold.rules.evaluate import Detection, detect
from lakehouse.settings import Settings
from producer.generate import Stream, batch
from tests.gold.rules.builders import generated_events
from tests.producer.test_generate import END, a_plan

RULES = load_rules(Settings(_env_file=None))
# The generator has no attack for these rules. concurrent_sessions has severity low; listed_ip is off without a list.
NOT_PLANTED = {
    "password_spray_distributed",
    "success_after_attack",
    "session_replay",
    "concurrent_sessions",
    "listed_ip",
}
# A rule, the type of an entity, and the entity.
Finding = tuple[str, str, str]


def detections_in(stream: Stream) -> list[Detection]:
    rows: list[Detection] = detect(generated_events(stream), RULES).to_pylist()
    return rows


def test_the_rules_of_severity_medium_and_higher_are_quiet_without_attacks() -> None:
    found = detections_in(batch(a_plan(noise=0.0, attacks=0.0, users=1_000), events=30_000, end=END))

    assert [(row["rule"], row["entity"], row["fired_at"]) for row in found if row["severity"] != "low"] == []


@dataclass
class Attacked:
    """What a stream with attacks names, and what the rules find in it at severity medium and higher.

    Attributes:
        victims: All users that an attack names.
    """

    named: set[Finding]
    found: set[Finding]
    victims: set[str]


@pytest.fixture(scope="module")
def attacked() -> Attacked:
    stream = batch(a_plan(noise=0.0, attacks=0.3, users=1_000), events=6_000, end=END)
    detections = detections_in(stream)
    return Attacked(
        named={
            msgspec.structs.astuple(expected)
            for attack, _ in stream.truth.attacks.values()
            for expected in (attack.expected, *attack.also)
        },
        victims={event.client.username for attack, _ in stream.truth.attacks.values() for event in attack.events},
        found={(row["rule"], row["entity_type"], row["entity"]) for row in detections if row["severity"] != "low"},
    )


def test_every_planted_attack_triggers_the_rules_that_it_names(attacked: Attacked) -> None:
    rules = {rule.name for rule in RULES}

    assert {finding[0] for finding in attacked.named} >= rules - NOT_PLANTED
    assert {finding for finding in attacked.named - attacked.found if finding[0] in rules} == set()


def test_no_rule_fires_because_of_an_attack_that_does_not_name_it(attacked: Attacked) -> None:
    # A victim may log in as usual after the attack, and from home after the attacker did from far away.
    consequences = {
        (rule, "username", victim)
        for rule in ("success_after_attack", "impossible_travel")
        for victim in attacked.victims
    }

    assert attacked.found - attacked.named - consequences == set()
