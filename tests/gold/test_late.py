"""Late events count in the windows in which they happened, up to the oldest age that is accepted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gold.changes import DAYS_PER_COMMIT
from lakehouse.lake import Lake
from lakehouse.tables.gold import RESTATEMENTS
from lakehouse.tables.metrics import IP_ACTIVITY, PAIR_ACTIVITY
from lakehouse.tables.silver import EVENTS
from loginlake.pipeline import refresh
from tests.spark_lakes import a_raw, a_raw_login, append_batch, rows_of

pytestmark = pytest.mark.slow

# More days than fit into two commits of a table.
DAYS, PER_DAY = 2 * DAYS_PER_COMMIT + 10, 3


def test_late_events_of_many_days_count_in_their_windows(refreshed_lake: Lake) -> None:
    lake = refreshed_lake
    start = datetime(2023, 1, 1, tzinfo=UTC)
    late = [
        a_raw_login(
            1 + number,
            event_at=(start + timedelta(days=number % DAYS, hours=number // DAYS)).isoformat(),
            src_ip="192.0.2.1",
        )
        for number in range(DAYS * PER_DAY)
    ]
    append_batch(lake, late, number=1)
    refresh(lake)

    daily = [row for row in rows_of(lake, IP_ACTIVITY.table) if row["src_ip"] == "192.0.2.1"]
    assert [row["window_at"] for row in daily] == [start + timedelta(days=day) for day in range(DAYS)]
    assert {row["attempts"] for row in daily} == {PER_DAY}
    hourly = [row["window_at"] for row in rows_of(lake, PAIR_ACTIVITY) if row["src_ip"] == "192.0.2.1"]
    assert len(set(hourly)) == len(hourly) == DAYS * PER_DAY
    assert lake.read(RESTATEMENTS).where("cause = 'late'").count() == DAYS * PER_DAY + 3 * DAYS


def test_the_oldest_accepted_event_counts_and_an_older_one_is_broken(lake: Lake) -> None:
    appended_at = a_raw(0)["appended_at"]
    bound = appended_at - timedelta(days=lake.settings.max_event_age_days)
    ages = (bound, bound - timedelta(microseconds=1))
    records = [
        a_raw_login(offset, event_at=at.isoformat()) | {"appended_at": appended_at} for offset, at in enumerate(ages)
    ]
    append_batch(lake, records)
    refresh(lake)

    assert [row["verdict"] for row in rows_of(lake, EVENTS)] == ["accepted", "broken"]
    assert [row["window_at"] for row in rows_of(lake, PAIR_ACTIVITY)] == [bound.replace(minute=0, second=0)]
