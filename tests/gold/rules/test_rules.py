from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from gold.rules import Rules, load_rules
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


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("window_minutes = 0", r"> 0.*window_minutes"),
        ("window_minutes = 1441", r"<= 1440.*window_minutes"),
        ("leak_seconds = 0", r"> 0.*leak_seconds"),
        ("leak_seconds = 20000", r"more than a day"),
        ("signals = 0", r">= 1.*signals"),
        ('capacity = "x"', r"Expected `int`.*capacity"),
        ("capacty = 5", r"unknown field `capacty`"),
        ("capacity = ", r"detections.toml is not valid.*Correct the value"),
    ],
)
def test_thresholds_that_are_not_allowed_are_refused(conf: Path, line: str, message: str) -> None:
    shipped = conf / "detections.toml"
    name = line.partition(" ")[0].replace("capacty", "version")
    shipped.write_text(re.sub(rf"^{name} = .*", line, shipped.read_text(), flags=re.M))

    with pytest.raises(UsageError, match=message):
        load_rules(Settings(conf=conf, _env_file=None))
