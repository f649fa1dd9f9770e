from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gold.rules import load_rules
from gold.transforms.detections import BruteForceIp, Failure, detections_of
from lakehouse.errors import UsageError
from lakehouse.settings import Settings

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
RULE = BruteForceIp(
    version=1, capacity=5, leak_seconds=10, failures=20, window_minutes=60, severity="high", technique="T1110"
)


def failures(seconds: Iterable[float], *, start: datetime = NOON, times: int = 1) -> list[Failure]:
    """A failure at each of the seconds after the start, of a user of its own."""
    return [
        Failure(start + timedelta(seconds=second), times, f"u{number}", ("logs", 0, number))
        for number, second in enumerate(seconds)
    ]


def found(attempts: list[Failure], rule: BruteForceIp = RULE) -> list[dict[str, Any]]:
    return detections_of("192.0.2.1", attempts, rule=rule)


def test_six_failures_at_once_overflow_the_bucket_and_five_do_not() -> None:
    assert found(failures([0] * 5)) == []
    (detection,) = found(failures([0] * 6))
    assert detection["fired_at"] == NOON


def test_the_bucket_drains_one_failure_in_ten_seconds() -> None:
    assert found(failures([0, 0, 0, 0, 0, 10])) == []
    assert len(found(failures([0, 0, 0, 0, 0, 9.99]))) == 1


def test_a_failure_that_stands_for_many_counts_as_many() -> None:
    assert len(found(failures([0], times=6))) == 1
    assert found(failures([0], times=5)) == []


def test_twenty_failures_within_an_hour_are_an_attack_however_even() -> None:
    every_three_minutes = [180.0 * number for number in range(20)]
    (detection,) = found(failures(every_three_minutes))

    assert detection["fired_at"] == NOON + timedelta(minutes=57)
    assert found(failures(every_three_minutes[:19])) == []
    assert found(failures([190.0 * number for number in range(20)])) == []


def test_hits_less_than_a_window_apart_are_one_detection() -> None:
    burst = [0.0] * 6
    (together,) = found(failures(burst + [3599.0] * 6))
    apart = found(failures(burst + [3600.0] * 6))

    assert json.loads(together["measures"]) == {"failures": 12, "hits": 2, "users": 12}
    assert [detection["fired_at"] for detection in apart] == [NOON, NOON + timedelta(hours=1)]
    assert len({detection["detection_id"] for detection in apart}) == 2


def test_a_detection_says_who_when_how_much_and_by_which_records() -> None:
    (detection,) = found(failures([0, 1, 2, 3, 4, 5, 6]))

    assert {name: detection[name] for name in ("rule", "rule_version", "entity_type", "entity", "technique")} == {
        "rule": "brute_force_ip",
        "rule_version": 1,
        "entity_type": "src_ip",
        "entity": "192.0.2.1",
        "technique": "T1110",
    }
    assert (detection["first_at"], detection["last_at"]) == (NOON, NOON + timedelta(seconds=5))
    assert detection["fired_on"] == NOON.date()
    assert json.loads(detection["measures"]) == {"failures": 6, "hits": 1, "users": 6}
    assert json.loads(detection["evidence"]) == [["logs", 0, number] for number in range(6)]


def test_evidence_names_a_hundred_records_at_most() -> None:
    (detection,) = found(failures(range(300)))

    assert len(json.loads(detection["evidence"])) == 100
    assert json.loads(detection["measures"])["failures"] > 100


def test_an_attack_across_midnight_is_one_detection_of_the_day_it_began() -> None:
    start = NOON.replace(hour=23, minute=59, second=50)
    (detection,) = found(failures(range(20), start=start))

    assert detection["fired_on"] == NOON.date()
    assert detection["last_at"] > NOON.replace(hour=23, minute=59, second=59)


@pytest.mark.parametrize("minutes", [2, 3])
def test_an_attack_that_goes_on_for_days_is_told_on_each_of_them(minutes: int) -> None:
    days = 6
    steady = failures([60.0 * minutes * number for number in range(days * 24 * 60 // minutes)])

    told = [
        detection["fired_on"] + timedelta(days=later)
        for detection in found(steady)
        for later in range((detection["last_at"].date() - detection["fired_on"]).days + 1)
    ]

    assert told == [NOON.date() + timedelta(days=day) for day in range(days + 1)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("window_minutes = 59", r">= 60.*window_minutes"),
        ("window_minutes = 1441", r"<= 1440.*window_minutes"),
        ("leak_seconds = 0", r"> 0.*leak_seconds"),
        ("leak_seconds = 20000", r"more than a day"),
        ("failures = 0", r">= 1.*failures"),
        ('capacity = "x"', r"Expected `int`.*capacity"),
        ("capacty = 5", r"unknown field `capacty`"),
        ("capacity = ", r"detections.toml can't be used"),
    ],
)
def test_thresholds_that_can_not_be_are_refused(conf: Path, line: str, said: str) -> None:
    shipped = conf / "detections.toml"
    name = line.partition(" ")[0].replace("capacty", "version")
    shipped.write_text(re.sub(rf"^{name} = .*", line, shipped.read_text(), flags=re.M))

    with pytest.raises(UsageError, match=said):
        load_rules(Settings(conf=conf, _env_file=None))


def test_what_is_found_for_a_day_depends_on_its_neighbours_alone() -> None:
    days = [failures([0] * 7, start=NOON + timedelta(days=day)) for day in range(5)]
    of_day = {detection["fired_on"]: detection for detection in found([f for day in days for f in day])}

    near = found([failure for day in days[1:4] for failure in day])
    assert of_day[NOON.date() + timedelta(days=2)] in near


def test_nothing_is_found_without_failures() -> None:
    assert found([]) == []


@pytest.mark.parametrize(
    ("rule", "fewest"), [(RULE, 6), (replace(RULE, failures=4), 4)], ids=["the bucket", "the window"]
)
def test_fewer_failures_than_both_ways_need_find_nothing(rule: BruteForceIp, fewest: int) -> None:
    assert rule.fewest_failures == fewest
    assert len(found(failures([0] * fewest), rule)) == 1
    assert found(failures([0] * (fewest - 1)), rule) == []


def test_the_shipped_thresholds_are_those_of_the_sources() -> None:
    rule = load_rules(Settings(_env_file=None)).brute_force_ip

    assert (rule.capacity, rule.leak_seconds, rule.failures, rule.window_minutes) == (5, 10, 20, 60)
