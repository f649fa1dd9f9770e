"""First logins, and detections of the rules over baselines, on Spark: both depend on all events before.

They are updated by new, late, changed and removed events. A refresh that was stopped may have written both; they are
undone.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from gold.job import refresh_gold
from gold.rules import load_rules
from gold.rules.baseline import over_baselines
from gold.touched import days_reached
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from lakehouse.tables.gold import DETECTIONS, FIRST_SEEN, SNAPSHOTS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from loginlake.pipeline import refresh
from silver.job import update_silver
from tests.spark_lakes import (
    a_raw_login,
    append_batch,
    copied,
    faults_of_recomputation,
    rows_of,
)

RULES = load_rules(Settings(_env_file=None))


# Of the login by which eve's rules over baselines fire.
ELSEWHERE = {"src_ip": "8.8.8.8", "app": None}


class Stopped(Exception):
    """Raised in the middle of a job."""


class StoppingLake(Lake):
    """A lake whose writer stops when it is about to publish."""

    def append(self, table: Table, rows: DataFrame, *, user_metadata: str | None = None) -> None:
        if table == SNAPSHOTS:
            raise Stopped
        super().append(table, rows, user_metadata=user_metadata)


def a_success(offset: int, event_at: str, **fields: Any) -> dict[str, Any]:
    usual = {"outcome": "success", "username": "eve", "src_ip": "193.0.6.139", "app": "mail"}
    return a_raw_login(offset, event_at=event_at, **usual | fields)


def at(day: int, hour: int = 9, month: int = 1) -> datetime:
    """An instant in December 2025 or in January 2026."""
    return datetime(2025 if month == 12 else 2026, month, day, hour, tzinfo=UTC)


def found(lake: Lake) -> Counter[tuple[str, str, str]]:
    """The rule, day and status of the detections of eve."""
    rows = (row for row in rows_of(lake, DETECTIONS) if row["entity"] == "eve")
    return Counter((row["rule"], row["fired_on"].isoformat(), row["status"]) for row in rows)


def first_logins(lake: Lake, kind: str) -> dict[str | None, datetime]:
    """The first logins of eve by their value."""
    rows = (row for row in rows_of(lake, FIRST_SEEN) if (row["username"], row["kind"]) == ("eve", kind))
    return {row["value"]: row["first_at"] for row in rows}


@pytest.fixture(scope="module")
def eves(spark: SparkSession, refreshed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a lake in which eve logged in on 1 December, and on 20 January from another address.

    The second login names no app.
    """
    lake = copied(spark, refreshed, tmp_path_factory.mktemp("eves"))
    logins = [a_success(1, "2025-12-01T09:00:00Z"), a_success(2, "2026-01-20T09:00:00Z", **ELSEWHERE)]
    append_batch(lake, logins, number=1)
    refresh(lake)
    return Path(lake.settings.root)


@pytest.fixture
def eves_lake(spark: SparkSession, eves: Path, tmp_path: Path) -> Lake:
    """A copy of it."""
    return copied(spark, eves, tmp_path)


FIRED = Counter(
    {
        ("new_ip", "2026-01-20", "confirmed"): 1,
        ("new_country", "2026-01-20", "confirmed"): 1,
        ("dormant_user", "2026-01-20", "confirmed"): 1,
    }
)
RETRACTED = {(rule, day, "retracted"): 1 for rule, day, _ in FIRED}


def test_late_events_move_first_logins_and_retract_or_move_detections_of_later_days(eves_lake: Lake) -> None:
    assert found(eves_lake) == FIRED

    late = [a_success(3, "2025-12-05T10:00:00Z", src_ip="8.8.8.8"), a_success(4, "2026-01-02T10:00:00Z", app="vpn")]
    append_batch(eves_lake, [*late, a_success(5, "2026-01-03T10:00:00Z", outcome="failure", app="wiki")], number=2)
    refresh(eves_lake)

    # On 5 December eve was known for four days only, so the address is not reported there.
    assert found(eves_lake) == RETRACTED
    assert first_logins(eves_lake, "src_ip") == {"193.0.6.139": at(1, month=12), "8.8.8.8": at(5, hour=10, month=12)}
    assert first_logins(eves_lake, "app") == {"mail": at(1, month=12), None: at(20), "vpn": at(2, hour=10)}
    assert faults_of_recomputation(eves_lake) == []


def test_events_that_are_mended_or_erased_change_first_logins_and_what_later_days_are_compared_with(
    eves_lake: Lake,
) -> None:
    lake, events = eves_lake, f"delta.`{eves_lake.uri(EVENTS)}`"
    written = lake.version(FIRST_SEEN)
    append_batch(lake, [a_success(3, "2026-01-25T09:00:00Z", **ELSEWHERE)], number=2)
    refresh(lake)
    assert found(lake) == FIRED
    assert lake.version(FIRST_SEEN) == written  # all its values are known

    lake.spark.sql(f"DELETE FROM {events} WHERE offset = 2")
    lake.spark.sql(f"UPDATE {events} SET verdict = 'broken', reason = 'bad_value' WHERE offset = 1")
    refresh_gold(lake)
    assert found(lake) == RETRACTED
    assert first_logins(lake, "src_ip") == {"8.8.8.8": at(25)}
    assert first_logins(lake, "app") == {None: at(25)}

    lake.spark.sql(f"UPDATE {events} SET verdict = 'accepted', reason = NULL WHERE offset = 1")
    refresh_gold(lake)
    assert found(lake) == RETRACTED | {(rule, "2026-01-25", "confirmed"): 1 for rule, *_ in FIRED}
    assert first_logins(lake, "src_ip") == {"193.0.6.139": at(1, month=12), "8.8.8.8": at(25)}
    assert first_logins(lake, "app") == {"mail": at(1, month=12), None: at(25)}


def test_what_a_stopped_refresh_wrote_is_undone(eves_lake: Lake) -> None:
    events = f"delta.`{eves_lake.uri(EVENTS)}`"
    before = rows_of(eves_lake, FIRST_SEEN)
    append_batch(eves_lake, [a_success(3, "2025-12-10T10:00:00Z", src_ip="8.8.8.8", app="vpn")], number=2)
    update_silver(eves_lake)
    with pytest.raises(Stopped):
        refresh_gold(StoppingLake(eves_lake.spark, eves_lake.settings))
    assert found(eves_lake) != FIRED
    assert len(rows_of(eves_lake, FIRST_SEEN)) > len(before)
    eves_lake.spark.sql(f"DELETE FROM {events} WHERE offset = 3")

    refresh_gold(eves_lake)

    assert found(eves_lake) == FIRED
    assert rows_of(eves_lake, FIRST_SEEN) == before


def reached(day: date, *, last: date | None) -> set[date]:
    rules = over_baselines(RULES)
    return days_reached(rules, {rule.name: [day] for rule in rules}, first_days=[], last=last)


def test_an_event_reaches_the_days_that_its_rules_compare_with_it_but_none_after_the_last_event() -> None:
    day = date(2026, 3, 1)
    days = reached(day, last=day + timedelta(days=90))

    assert (min(days), max(days)) == (day, day + timedelta(days=RULES.dormant_user.days + 1))
    assert reached(day, last=day) == {day}
    assert reached(day, last=None) == set()
