from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from gold.rules import load_rules
from gold.rules.addresses import AddressSet
from gold.rules.detections import Detection
from gold.rules.evaluate import detect
from gold.rules.listed_ip import ListedIp
from lakehouse.errors import UsageError
from lakehouse.settings import Settings
from lakehouse.tables.silver import EVENTS
from tests.gold.rules import naive
from tests.gold.rules.builders import Event, detections_of, histories
from tests.serving.lakes import a_login

SHIPPED = load_rules(Settings(_env_file=None)).listed_ip
LISTED = replace(SHIPPED, addresses=AddressSet(["192.0.2.1", "198.51.100.0/24"]))
ROWS = [
    a_login(0),
    a_login(1, src_ip="198.51.100.7", action="probe", outcome=None, failure_reason=None),
    a_login(2, src_ip="198.51.100.8", action="logout", outcome=None, failure_reason=None),
    a_login(3, src_ip="203.0.113.1"),
    a_login(4, src_ip=None),
]


def detected(rule: ListedIp) -> list[Detection]:
    events = pl.from_arrow(pa.Table.from_pylist(ROWS, schema=EVENTS.arrow_schema()))
    found: list[Detection] = detect(events.lazy(), [rule]).to_pylist()
    return found


def test_logins_and_probes_of_listed_addresses_are_reported() -> None:
    found = {row["entity"]: json.loads(row["measures"]) for row in detected(LISTED)}

    assert found == {
        "192.0.2.1": {"failures": 1, "hits": 1, "probes": 0, "successes": 0, "users": 1},
        "198.51.100.7": {"failures": 0, "hits": 1, "probes": 1, "successes": 0, "users": 1},
    }


def test_an_address_on_the_allow_list_is_not_reported() -> None:
    assert [row["entity"] for row in detected(replace(LISTED, allow=("198.51.100.0/28",)))] == ["192.0.2.1"]


def test_without_addresses_the_rule_is_off() -> None:
    assert detected(SHIPPED) == []


def test_the_list_may_be_a_file_beside_the_thresholds(conf: Path) -> None:
    (conf / "detections.toml").write_text('[listed_ip]\naddresses = "blocked.txt"\n')
    (conf / "blocked.txt").write_text("198.51.100.0/24\n")

    rule = load_rules(Settings(conf=conf, _env_file=None)).listed_ip

    assert [row["entity"] for row in detected(rule)] == ["198.51.100.7"]


def test_a_file_that_is_missing_is_a_usage_error(conf: Path) -> None:
    (conf / "detections.toml").write_text('[listed_ip]\naddresses = "blocked.txt"\n')

    with pytest.raises(UsageError, match=r"detections.toml is not valid: .*blocked.txt can't be read"):
        load_rules(Settings(conf=conf, _env_file=None))


@settings(derandomize=True, deadline=None, max_examples=50)
@given(histories())
def test_the_rule_equals_a_naive_loop(events: list[Event]) -> None:
    assert detections_of("192.0.2.1", events, rule=LISTED) == list(naive.detections_of("192.0.2.1", events, LISTED))
