from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from gold.rules import Rules, load_rules, with_thresholds
from gold.rules.baseline import over_events
from gold.rules.model import AnyRule
from lakehouse.conf import CLONED
from lakehouse.errors import UsageError
from lakehouse.settings import Settings
from lakehouse.tables.silver import EVENTS

SHIPPED = load_rules(Settings(_env_file=None))


def test_every_rule_has_the_name_of_its_section_and_an_entity_that_silver_has() -> None:
    sections = [field.name for field in msgspec.structs.fields(Rules)]

    assert [rule.name for rule in SHIPPED] == sections
    assert {rule.entity for rule in SHIPPED} <= set(EVENTS.column_names)


def test_the_shipped_thresholds_are_those_of_the_sources() -> None:
    rule = SHIPPED.brute_force_ip

    assert (rule.capacity, rule.leak_seconds, rule.signals, rule.window_minutes) == (5, 10, 20, 60)


@pytest.mark.parametrize("rule", list(SHIPPED), ids=lambda rule: rule.name)
def test_a_changed_threshold_leaves_all_others_as_they_are(rule: AnyRule) -> None:
    assert with_thresholds(rule, {"version": 99}, folder=CLONED) == replace(rule, version=99)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("window_minutes = 0", r"brute_force_ip.window_minutes: expected a number > 0"),
        ("window_minutes = 1441", r"brute_force_ip.window_minutes: expected a number <= 1440"),
        ("leak_seconds = 0", r"brute_force_ip.leak_seconds: expected a number > 0"),
        ("leak_seconds = 20000", r"more than a day"),
        ("signals = 0", r"brute_force_ip.signals: expected an integer >= 1"),
        ('capacity = "x"', r"brute_force_ip.capacity: expected an integer, got text"),
        ('severity = "hgh"', r"brute_force_ip.severity: 'hgh' is not one of low, medium, high, critical"),
        ("capacty = 5", r"brute_force_ip has no threshold 'capacty'. Did you mean capacity?"),
        ("capacity = ", r"detections.toml is not valid.*Correct it"),
    ],
)
def test_thresholds_that_are_not_allowed_are_refused(conf: Path, line: str, message: str) -> None:
    shipped = conf / "detections.toml"
    name = line.partition(" ")[0].replace("capacty", "version")
    shipped.write_text(re.sub(rf"^{name} = .*", line, shipped.read_text(), flags=re.M))

    with pytest.raises(UsageError, match=message):
        load_rules(Settings(conf=conf, _env_file=None))


def test_a_file_may_leave_out_sections_and_thresholds(conf: Path) -> None:
    (conf / "detections.toml").write_text("[brute_force_ip]\nsignals = 30\n")

    rules = load_rules(Settings(conf=conf, _env_file=None))

    assert rules.brute_force_ip == replace(SHIPPED.brute_force_ip, signals=30)
    assert rules.password_spray == SHIPPED.password_spray


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[brute_farce]\nversion = 1\n", r"there is no rule 'brute_farce'"),
        ("[brute_force_ip]\nsignal = 30\n", r"brute_force_ip has no threshold 'signal'"),
        ("brute_force_ip = 3\n", r"brute_force_ip: expected a section, got an integer"),
        ('[brute_force_ip]\nallow = ["office"]\n', r"'office' does not appear to be an IPv4 or IPv6 network"),
        ('[impossible_travel]\nproxies = ["vpn"]\n', r"'vpn' does not appear to be an IPv4 or IPv6 network"),
        ("[impossible_travel]\nproxies = 3\n", r"proxies"),
    ],
)
def test_what_a_file_must_not_have_is_named(conf: Path, text: str, message: str) -> None:
    (conf / "detections.toml").write_text(text)

    with pytest.raises(UsageError, match=message):
        load_rules(Settings(conf=conf, _env_file=None))


def test_a_rule_follows_rules_of_its_entity_that_follow_none() -> None:
    by_name = {rule.name: rule for rule in over_events(SHIPPED)}

    assert {name for rule in over_events(SHIPPED) for name in rule.follows} <= set(by_name)
    for rule in over_events(SHIPPED):
        assert all(by_name[name].entity == rule.entity and not by_name[name].follows for name in rule.follows)
