"""What counts as a signal: in single events, and in the log of a server that takes keys only."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow as pa
import pytest

from gold.rules import load_rules
from gold.rules.evaluate import detect
from lakehouse.settings import Settings
from lakehouse.tables.silver import EVENTS
from producer.replay import sshd_records
from tests.serving.lakes import a_login
from tests.silver.records import Row, a_record, decoded, headers_column

SHIPPED = load_rules(Settings(_env_file=None))
RULES = (SHIPPED.brute_force_ip, SHIPPED.brute_force_slow)
START = datetime(2026, 11, 27, 8, tzinfo=UTC)
APPENDED_AT = datetime(2026, 11, 29, tzinfo=UTC)
PROBE = {"action": "probe", "outcome": None, "failure_reason": None}
KEY = {"auth_method": "publickey"}


def detected(rows: Sequence[Row]) -> set[str]:
    """Return the sources with a detection in rows of silver.events."""
    events = pl.from_arrow(pa.Table.from_pylist(list(rows), schema=EVENTS.arrow_schema()))
    return set(detect(events.lazy(), RULES)["entity"].to_pylist())


@pytest.mark.parametrize(
    ("values", "is_signal"),
    [
        ({}, True),
        ({"outcome": "success", "failure_reason": None}, False),
        (PROBE, True),
        ({"action": "lockout", "outcome": None}, False),
        (KEY, False),
        (KEY | {"failure_reason": "unknown_user"}, True),
        ({"verdict": "duplicate"}, False),
        ({"src_ip": None}, False),
    ],
)
def test_failures_and_probes_are_signals_but_no_keys_of_a_known_user(values: Row, is_signal: bool) -> None:
    assert bool(detected([a_login(offset, **values) for offset in range(6)])) == is_signal


def test_logins_that_first_offer_other_keys_raise_no_detection() -> None:
    key = {"username": "alice", "auth_method": "publickey", "src_ip": "192.0.2.7"}
    rows = [
        a_login(offset, **key, outcome="success" if offset % 4 == 3 else "failure", event_at=START)
        for offset in range(8)
    ]

    assert detected(rows) == set()


def key_only_log(chance: random.Random) -> dict[str, list[datetime]]:
    """Return when each of twenty addresses connects: 10 to 200 times, at its own pace."""
    connections = {}
    for number in range(20):
        pace = chance.choice((0.5, 2.0, 8.0, 9.5, 12.0, 25.0, 50.0, 70.0, 300.0))
        at = START + timedelta(seconds=chance.uniform(0, 3_600))
        instants = []
        for _ in range(chance.randint(10, 200)):
            at += timedelta(seconds=chance.uniform(0.5, 1.5) * pace)
            instants.append(at.replace(microsecond=0))
        connections[f"203.0.113.{number}"] = instants
    return connections


def overflows(instants: Sequence[datetime], *, capacity: int, leak_seconds: float) -> bool:
    """Return whether a leaky bucket overflows, as CrowdSec's scenarios ssh-bf and ssh-slow-bf use it."""
    level, last = 0.0, instants[0]
    for at in instants:
        level = max(0.0, level - (at - last).total_seconds() / leak_seconds) + 1
        last = at
        if level > capacity:
            return True
    return False


@pytest.mark.parametrize("seed", range(5))
def test_every_address_that_crowdsec_would_block_on_a_key_only_server_has_a_detection(seed: int) -> None:
    chance = random.Random(seed)
    connections = key_only_log(chance)
    timeline = sorted((at, source) for source, instants in connections.items() for at in instants)
    lines = []
    for number, (at, source) in enumerate(timeline):
        user = chance.choice(("root", "admin", "deploy"))
        left = f"Connection closed by authenticating user {user} {source} port {number} [preauth]"
        invalid = f"Invalid user {user}{number} from {source} port {number}"
        lines.append(f"{at:%b %e %H:%M:%S} gate sshd[{number}]: {chance.choice((left, invalid))}".encode())
    columns = {"appended_at": APPENDED_AT, "ingested_at": APPENDED_AT}
    rows = decoded(
        *(
            a_record(record.value, None, offset=offset, **columns) | {"headers": headers_column(record.headers)}
            for offset, record in enumerate(sshd_records(lines, year=2026))
        )
    )
    seen: dict[str, list[datetime]] = defaultdict(list)
    for row in rows:
        seen[row["src_ip"]].append(row["event_at"])

    blocked = {
        source
        for source, instants in connections.items()
        if overflows(instants, capacity=5, leak_seconds=10) or overflows(instants, capacity=10, leak_seconds=60)
    }

    assert {source: len(instants) for source, instants in seen.items()} == {
        source: len(instants) for source, instants in connections.items()
    }
    assert blocked
    assert blocked <= detected(rows)
