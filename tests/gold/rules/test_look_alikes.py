"""Harmless stories that look like attacks: all rules together stay quiet."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import timedelta

import polars as pl
import pyarrow as pa
import pytest

from gold.rules import load_rules
from gold.rules.evaluate_baselines import detect_all
from lakehouse.settings import Settings
from lakehouse.tables.silver import EVENTS
from tests.gold.rules.builders import NOON
from tests.serving.lakes import a_login
from tests.silver.records import Row

RULES = load_rules(Settings(_env_file=None))
SUCCESS: Row = {"outcome": "success", "failure_reason": None}
SECOND_FACTOR: Row = {"failure_reason": "mfa_failed"}
ACCEPTED_CODE: Row = SUCCESS | {"is_mfa": True}
KEY: Row = {"auth_method": "publickey"}
MINUTES_OF_A_DAY = 24 * 60


def at(minute: float, **values: object) -> Row:
    """A failed login from Germany at a minute after noon, with the given values replaced."""
    return {"event_at": NOON + timedelta(minutes=minute), "country": "DE"} | values


def shared_address(users: int, *, mistakes: float) -> list[Row]:
    """Users behind one address log in within an hour; some of them mistype their password first."""
    chance = random.Random(users)
    rows = []
    for number in range(users):
        minute, who = chance.uniform(0, 60), {"username": f"user{number}"}
        if chance.random() < mistakes:
            rows.append(at(minute, **who))
        rows.append(at(minute + 0.3, **who, **SUCCESS))
    return rows


STORIES: dict[str, list[Row]] = {
    "a forgotten password": [*(at(minute) for minute in range(5)), at(6, action="lockout"), at(30, **SUCCESS)],
    "a busy shared address": shared_address(200, mistakes=0.05),
    "an office after a holiday": shared_address(100, mistakes=0.15),
    "a job with an expired password": [
        at(minute, failure_reason="password_expired") for minute in range(0, MINUTES_OF_A_DAY, 5)
    ],
    "a traveller": [at(0, **SUCCESS), at(150, **SUCCESS, country="FR"), at(600, **SUCCESS, country="DE")],
    "a phone and a private network": [
        at(minute, **SUCCESS, src_ip=f"192.0.2.{minute % 3}", country=(None, "DE", "DE")[minute % 3])
        for minute in range(9)
    ],
    "mistyped codes": [*(at(minute, **SECOND_FACTOR) for minute in range(4)), at(4, **ACCEPTED_CODE)],
    "mistyped codes, twice a day": [at(minute, **SECOND_FACTOR) for minute in (0, 1, 2, 3, 60, 61, 62, 63)],
    "a client that offers three keys": [
        at(minute / 60, **KEY, **(SUCCESS if minute % 4 == 3 else {})) for minute in range(40)
    ],
    "an old password on a phone and a laptop": [
        at(minute, src_ip=f"192.0.2.{minute % 2}", country=("DE", "FR")[minute % 2]) for minute in range(0, 600, 15)
    ],
}


def detected(stories: Iterable[Row]) -> list[tuple[str, str]]:
    rows = [a_login(offset, **values) for offset, values in enumerate(stories)]
    events = pl.from_arrow(pa.Table.from_pylist(rows, schema=EVENTS.arrow_schema()))
    return [(row["rule"], row["entity"]) for row in detect_all(events.lazy(), RULES).to_pylist()]


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_no_rule_fires(story: list[Row]) -> None:
    assert detected(story) == []


def test_the_rules_fire_once_a_story_becomes_an_attack() -> None:
    assert detected(shared_address(200, mistakes=0.5)) != []
