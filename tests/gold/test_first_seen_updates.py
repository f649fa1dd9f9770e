"""The job updates gold.first_seen on Spark: by new, late, changed and removed logins.

After it was stopped: tests/gold/test_baselines.py.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gold.job import refresh_gold
from lakehouse.lake import Lake
from lakehouse.tables.gold import FIRST_SEEN
from lakehouse.tables.silver import EVENTS
from loginlake.pipeline import refresh
from tests.spark_lakes import a_raw_login, append_batch, faults_of_recomputation, rows_of


def a_success(offset: int, event_at: str, **fields: Any) -> dict[str, Any]:
    return a_raw_login(offset, **{"event_at": event_at, "outcome": "success", "username": "eve"} | fields)


def first_apps(lake: Lake) -> dict[str | None, datetime]:
    rows = (row for row in rows_of(lake, FIRST_SEEN) if (row["username"], row["kind"]) == ("eve", "app"))
    return {row["value"]: row["first_at"] for row in rows}


def at(hour: int, day: int = 1) -> datetime:
    return datetime(2026, 2, day, hour, tzinfo=UTC)


def test_a_late_login_is_the_first_one_and_a_known_value_writes_nothing(refreshed_lake: Lake) -> None:
    lake = refreshed_lake
    append_batch(lake, [a_success(1, "2026-02-01T10:00:00Z", app="vpn")], number=1)
    refresh(lake)
    written = lake.version(FIRST_SEEN)

    append_batch(lake, [a_success(2, "2026-02-01T11:00:00Z", app="vpn")], number=2)
    refresh(lake)
    assert lake.version(FIRST_SEEN) == written

    late = [a_success(3, "2026-01-20T09:00:00Z", app="vpn"), a_success(4, "2026-02-01T12:00:00Z", app="mail")]
    append_batch(lake, [*late, a_success(5, "2026-01-01T12:00:00Z", outcome="failure", app="wiki")], number=3)
    refresh(lake)

    assert first_apps(lake) == {"vpn": datetime(2026, 1, 20, 9, tzinfo=UTC), "mail": at(12)}
    assert faults_of_recomputation(lake) == []


def test_a_first_login_that_is_mended_or_erased_is_looked_up_in_the_others(refreshed_lake: Lake) -> None:
    lake, events = refreshed_lake, f"delta.`{refreshed_lake.uri(EVENTS)}`"
    logins = [a_success(offset, f"2026-02-0{1 + offset // 3}T0{offset}:00:00Z", app="vpn") for offset in range(1, 6)]
    append_batch(lake, [*logins, a_success(6, "2026-02-02T06:00:00Z", app=None)], number=1)
    refresh(lake)
    assert first_apps(lake) == {"vpn": at(1), None: at(6, day=2)}

    lake.spark.sql(f"UPDATE {events} SET verdict = 'broken', reason = 'bad_value' WHERE offset IN (1, 6)")
    lake.spark.sql(f"DELETE FROM {events} WHERE offset = 2")
    refresh_gold(lake)
    assert first_apps(lake) == {"vpn": at(3, day=2)}

    lake.spark.sql(f"UPDATE {events} SET verdict = 'accepted', reason = NULL WHERE offset = 1")
    refresh_gold(lake)
    assert first_apps(lake) == {"vpn": at(1)}
