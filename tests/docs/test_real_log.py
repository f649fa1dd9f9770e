"""The detections that docs/real-log.md lists: found again in the raw lines, without our decoder, and by the rules."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import iptocc
import polars as pl
import pyarrow as pa
import pytest

from gold.rules import load_rules
from gold.rules.evaluate_baselines import detect_all
from lakehouse.settings import Settings
from lakehouse.tables.silver import EVENTS
from tests.docs.pages import ROOT
from tests.gold.rules import naive
from tests.gold.rules.builders import Event
from tests.silver.test_sshd import replayed

SSHD_LOG = os.environ.get("LOGINLAKE_SSHD_LOG")
# The lines have no year.
YEAR = 2025
RULES = {rule.name: rule for rule in load_rules(Settings(_env_file=None))}
SECTION = re.compile(r"^## (\w+)$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| (\w{3} \d{1,2} [\d:]{8}) \| `([^`]+)` \|", re.MULTILINE)
SOURCE = r"(?P<user>\S*) from (?P<src_ip>\S+)"
LINES = {
    ("login", "failure"): re.compile(
        rf"(message repeated (?P<times>\d+) times: \[ )?Failed password for (invalid user )?{SOURCE} port \d+ ssh2\]?"
    ),
    ("probe", None): re.compile(rf"Invalid user {SOURCE}"),
    ("lockout", None): re.compile(
        rf"error: maximum authentication attempts exceeded for (invalid user )?{SOURCE} port .*"
    ),
    ("login", "success"): re.compile(rf"Accepted \S+ for {SOURCE} port .*"),
}
# Rule, time at which it fired, and entity.
Listed = tuple[str, datetime, str]

pytestmark = pytest.mark.skipif(SSHD_LOG is None, reason="LOGINLAKE_SSHD_LOG names no real sshd log")


def listed() -> set[Listed]:
    """What the page lists."""
    return {
        (rule, datetime.strptime(f"{YEAR} {at} +0000", "%Y %b %d %H:%M:%S %z"), entity)
        for rule, section in SECTION.findall((ROOT / "docs/real-log.md").read_text())
        for at, entity in ROW.findall(section)
    }


def raw_events() -> Iterator[Event]:
    """The events of the raw lines, without the failures of public keys, which no rule counts here."""
    for number, line in enumerate(Path(str(SSHD_LOG)).read_text().splitlines()):
        stamp, _, program, message = line[:15], *line[16:].split(" ", 2)
        for (action, outcome), pattern in LINES.items():
            if program.startswith("sshd[") and (found := pattern.fullmatch(message)):
                named = found.groupdict()
                at = datetime.strptime(f"{YEAR} {stamp}", "%Y %b %d %H:%M:%S").replace(tzinfo=UTC)
                src_ip, times = named["src_ip"], int(named.get("times") or 1)
                country = None if src_ip.startswith("127.") else iptocc.country_code(src_ip)
                position = ("logs", 0, number)
                yield Event(at, times, named["user"] or None, position, action, outcome, src_ip, country)


def is_read(event: Event, rule: str) -> bool:
    """Whether a rule that fires on the log reads an event, by its description."""
    if rule in ("several_countries", "impossible_travel"):
        return event.outcome == "success" and event.country is not None
    if rule.startswith("lockout"):
        return event.action == "lockout"
    if rule == "success_after_attack_ip":
        return event.outcome is not None and event.username is not None
    is_signal = event.outcome == "failure" or event.action == "probe"
    return is_signal and (rule != "user_enumeration" or event.username is not None)


def found_in_raw_lines(rule: Any) -> set[Listed]:
    """What plain loops find."""
    by_entity: dict[str, list[Event]] = defaultdict(list)
    for event in raw_events():
        entity = event.src_ip if rule.entity == "src_ip" else event.username
        if entity is not None:
            by_entity[entity].append(event)
    found = set()
    for entity, events in by_entity.items():
        read = {name: [event for event in events if is_read(event, name)] for name in (rule.name, *rule.follows)}
        followed = [(RULES[name], read[name]) for name in rule.follows]
        for row in naive.detections_of(entity, read[rule.name], rule, followed):
            found.add((rule.name, row["fired_at"], entity))
    return found


def test_a_second_program_finds_the_detections_of_the_page_in_the_raw_lines() -> None:
    rules = {rule for rule, _, _ in listed()}

    assert set().union(*(found_in_raw_lines(RULES[rule]) for rule in rules)) == listed()


def test_the_rules_find_the_detections_of_the_page() -> None:
    rows = replayed(Path(str(SSHD_LOG)).read_bytes().splitlines(), year=YEAR)
    events = pl.DataFrame(pa.Table.from_pylist(rows, schema=EVENTS.arrow_schema()))
    found = detect_all(events.lazy(), RULES.values()).to_pylist()

    assert {(row["rule"], row["fired_at"], row["entity"]) for row in found if row["severity"] != "low"} == listed()
