"""The rules on generated events: they find every planted attack that they look for, and nothing else."""

from __future__ import annotations

import pytest

from gold.rules import load_rules
from gold.rules.evaluate_baselines import detect_all
from lakehouse.settings import Settings
from loginlake.scoring import Score, score
from producer.attacks import SCENARIOS as ATTACKS
from producer.events import DAY_SECONDS, SECOND
from producer.generate import Stream, batch
from producer.long_attacks import DAYS
from producer.long_attacks import SCENARIOS as LONG_ATTACKS
from producer.look_alikes import SCENARIOS as LOOK_ALIKES
from tests.gold.rules.builders import generated_events
from tests.producer.test_generate import END, START, a_plan

RULES = load_rules(Settings(_env_file=None))
CASES = 3
END_OF_LONG = START + (DAYS + 5) * DAY_SECONDS * SECOND
LONG_SCENARIOS = {scenario.__name__ for scenario in LONG_ATTACKS}


def score_of(stream: Stream) -> Score:
    detections = detect_all(generated_events(stream), RULES).to_pylist()
    return score([stream.truth.content()], detections, severities={rule.name: rule.severity for rule in RULES})


def false_alarms(result: Score) -> list[tuple[str, ...]]:
    return [
        (alert.detection["rule"], alert.detection["entity"], alert.look_alike.scenario if alert.look_alike else "")
        for alert in result.false_alarms
    ]


def test_background_traffic_and_look_alikes_are_quiet() -> None:
    result = score_of(batch(a_plan(noise=0.0, attacks=0.0, users=1_000), events=30_000, end=END))

    assert false_alarms(result) == []
    assert {case.scenario for case in result.look_alikes} == {scenario.__name__ for scenario in LOOK_ALIKES}


@pytest.mark.parametrize("log_format", ["login", "sshd"])
def test_every_planted_attack_and_nothing_else_is_found(log_format: str) -> None:
    plan = a_plan(noise=0.0, attacks=0.0, look_alikes=0.0, cases=CASES, users=1_000, format=log_format)
    result = score_of(batch(plan, events=8_000, end=END))

    assert [(rule, case.scenario) for rule, case in result.misses] == []
    assert false_alarms(result) == []
    assert len(result.found_attacks) == len(result.attacks) > CASES * len(ATTACKS) / 2


def test_every_planted_attack_on_a_baseline_is_found() -> None:
    plan = a_plan(noise=0.0, attacks=0.0, look_alikes=0.0, cases=2, users=1_000)
    result = score_of(batch(plan, events=4_000, end=END_OF_LONG))

    of_baselines = [attack for attack in result.attacks if attack.case.scenario in LONG_SCENARIOS]
    assert len(of_baselines) == 2 * len(LONG_SCENARIOS)
    assert [attack for attack in of_baselines if attack.missed] == []


def test_every_rule_has_planted_cases() -> None:
    stream = batch(a_plan(cases=1, users=1_000), events=3_000, end=END_OF_LONG)
    for _ in stream:
        pass
    planted = {each.rule for case in stream.truth.content().attacks for each in case.expected}

    # listed_ip is off without a list.
    assert {rule.name for rule in RULES} - planted == {"listed_ip"}
