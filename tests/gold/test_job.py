from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.job import last_snapshot, publish
from gold.recompute import stored_rows
from lakehouse.errors import LockHeld
from lakehouse.lake import Lake
from lakehouse.locks import writer_lock
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import DETECTIONS, IP_ACTIVITY, PAIR_ACTIVITY, SNAPSHOTS, STORED_METRICS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from loginlake.pipeline import refresh
from loginlake.verify import VerifyOptions, verify
from serving.store import Store
from silver.job import refine
from tests.spark_lakes import a_raw, a_raw_login, append_batch, copied, rows_of

pytestmark = pytest.mark.spark

PUBLISHED_AT = datetime(2026, 2, 3, tzinfo=UTC)


def a_failure(offset: int, **fields: Any) -> dict[str, Any]:
    return a_raw_login(offset, **{"outcome": "failure", "src_ip": "192.0.2.1", "username": f"u{offset % 3}"} | fields)


def a_burst(first: int, at: str, count: int = 7) -> list[dict[str, Any]]:
    """Failures of one address within a second, enough to trip the rule."""
    return [a_failure(offset, event_at=at) for offset in range(first, first + count)]


class Stopped(Exception):
    """Raised in the middle of a job."""


class StoppingLake(Lake):
    """Writes the base, and is stopped before the other tables are."""

    def replace_days(self, table: Table, rows: DataFrame, *, days: Sequence[date]) -> None:
        if table != PAIR_ACTIVITY:
            raise Stopped
        super().replace_days(table, rows, days=days)


def versions(lake: Lake) -> dict[str, int]:
    return {table.full_name: lake.version(table) for table in (*SNAPSHOT_TABLES, SNAPSHOTS)}


def follows_from_bronze(lake: Lake) -> bool:
    """True where another engine makes the same silver and gold of bronze, cell by cell."""
    return verify(lake.settings, Store(lake.settings), options=VerifyOptions(is_deep=True)).ok


@pytest.fixture(scope="module")
def published_lake(spark: SparkSession, created: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake that was refreshed once: a burst, a login of nobody, a broken record, and an earlier event at the end.

    No test writes to it.
    """
    lake = copied(spark, created, tmp_path_factory.mktemp("published"))
    of_nobody = a_raw_login(7, src_ip=None, username=None, event_at="2026-02-01T09:30:00Z")
    earlier = a_failure(11, event_at="2026-02-01T09:00:00Z")
    append_batch(lake, [*a_burst(0, "2026-02-01T10:00:00Z"), of_nobody, a_raw(8), earlier])
    refresh(lake, clock=lambda: PUBLISHED_AT)
    return lake


def test_a_refresh_publishes_the_versions_offsets_and_now_of_all_tables(published_lake: Lake) -> None:
    lake, snapshot = published_lake, last_snapshot(published_lake)

    assert (snapshot.id, snapshot.at) == (1, PUBLISHED_AT)
    assert snapshot.versions == {table.full_name: lake.version(table) for table in SNAPSHOT_TABLES}
    assert snapshot.offsets == {("logs", 0): 12}
    assert snapshot.last_event_at == datetime(2026, 2, 1, 10, tzinfo=UTC)
    assert snapshot.last_append_at > snapshot.last_event_at


def test_a_refresh_without_news_writes_nothing_and_publishes_nothing(published_lake: Lake) -> None:
    lake, before = published_lake, versions(published_lake)

    assert refresh(lake) is None
    assert refine(lake) == 0
    assert publish(lake) is None
    assert versions(lake) == before


def test_an_empty_lake_publishes_nothing(lake: Lake) -> None:
    assert refresh(lake) is None
    assert rows_of(lake, SNAPSHOTS) == []


def test_refreshing_batch_by_batch_equals_computing_all_anew(lake: Lake) -> None:
    append_batch(lake, [*a_burst(0, "2026-02-01T10:00:00Z"), a_raw_login(7, username=None, app="portal")])
    refresh(lake)
    # Late rows of an hour that is long closed, a copy, a null key again, and a burst that joins the first one.
    append_batch(
        lake,
        [
            a_failure(10, event_at="2026-01-12T00:00:00Z", event_id="late"),
            a_failure(11, event_id="e0-0"),
            a_raw_login(12, username=None, app="portal"),
            *a_burst(13, "2026-02-01T10:30:00Z"),
        ],
        number=1,
    )
    refresh(lake)
    # A burst before midnight and one after, and one before the first, which it then belongs to.
    append_batch(
        lake,
        [
            *a_burst(30, "2026-01-31T23:50:00Z"),
            *a_burst(40, "2026-02-01T00:20:00Z"),
            *a_burst(50, "2026-02-01T09:30:00Z"),
        ],
        number=2,
    )
    refresh(lake)

    assert follows_from_bronze(lake)
    assert [row["fired_on"] for row in sorted(rows_of(lake, DETECTIONS), key=lambda row: row["fired_at"])] == [
        date(2026, 1, 31),
        date(2026, 2, 1),
    ]


def test_only_the_touched_days_are_written_again(refreshed_lake: Lake) -> None:
    lake, of_day = refreshed_lake, F.col("window_on") == F.lit(date(2026, 2, 1))
    before = {row[0] for row in lake.read(PAIR_ACTIVITY).where(of_day).select("_metadata.file_path").collect()}

    append_batch(lake, [a_failure(1, event_at="2026-01-20T10:00:00Z")], number=1)
    refresh(lake)

    assert before
    assert {row[0] for row in lake.read(PAIR_ACTIVITY).where(of_day).select("_metadata.file_path").collect()} == before
    assert sum(row["attempts"] for row in rows_of(lake, IP_ACTIVITY.table)) == 2


def test_keys_that_became_empty_are_deleted(lake: Lake) -> None:
    append_batch(lake, [*a_burst(0, "2026-02-01T10:00:00Z"), a_raw_login(8, src_ip="198.51.100.1")])
    refresh(lake)
    lake.spark.sql(
        f"UPDATE delta.`{lake.uri(EVENTS)}` SET verdict = 'broken', reason = 'bad_value' WHERE src_ip = '192.0.2.1'"
    )

    assert publish(lake) is not None
    assert [row["src_ip"] for row in rows_of(lake, IP_ACTIVITY.table)] == ["198.51.100.1"]
    assert rows_of(lake, DETECTIONS) == []


def test_a_record_from_beyond_the_calendar_stops_no_refresh(lake: Lake) -> None:
    append_batch(lake, [a_failure(0)])
    sent = lake.read(RAW_LOGS).withColumn("offset", F.lit(1).cast("long"))
    lake.append(RAW_LOGS, sent.withColumn("appended_at", F.timestamp_micros(F.lit(1_772_000_000_000_000_000))))

    snapshot = refresh(lake)

    assert snapshot.offsets == {("logs", 0): 2}
    assert snapshot.last_append_at == a_failure(0)["appended_at"]
    assert follows_from_bronze(lake)


def test_what_a_crashed_refresh_left_is_computed_again(refreshed_lake: Lake) -> None:
    lake = refreshed_lake
    append_batch(lake, [a_failure(1), a_failure(2)], number=1)
    refine(lake)
    stopping = StoppingLake(lake.spark, lake.settings)
    with pytest.raises(Stopped):
        publish(stopping)
    assert lake.version(PAIR_ACTIVITY) > last_snapshot(lake).versions[PAIR_ACTIVITY.full_name]

    assert refresh(lake) is not None
    assert follows_from_bronze(lake)


def test_gold_is_built_anew_where_the_change_feed_is_refused(refreshed_lake: Lake) -> None:
    lake = refreshed_lake
    lake.spark.sql(f"ALTER TABLE delta.`{lake.uri(EVENTS)}` SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'false')")
    append_batch(lake, [a_failure(1), a_failure(2, src_ip="198.51.100.1")], number=1)

    assert refresh(lake) is not None
    assert follows_from_bronze(lake)


def test_stored_metrics_equal_those_computed_from_the_base(published_lake: Lake) -> None:
    lake, base = published_lake, published_lake.read(PAIR_ACTIVITY)
    for metric in STORED_METRICS:
        computed = stored_rows(metric, base).orderBy(*metric.key).toArrow().to_pylist()
        assert computed == rows_of(lake, metric.table)


def test_a_snapshot_is_later_than_the_last_also_when_the_clock_was_set_back(refreshed_lake: Lake) -> None:
    last = last_snapshot(refreshed_lake)
    append_batch(refreshed_lake, [a_failure(1)], number=1)

    snapshot = refresh(refreshed_lake, clock=lambda: last.at - timedelta(days=1))

    assert snapshot == last_snapshot(refreshed_lake)
    assert snapshot.at == last.at + timedelta(microseconds=1)


def test_a_second_refresh_is_refused(lake: Lake) -> None:
    with writer_lock(lake, "refresh"), pytest.raises(LockHeld, match="lock of refresh"):
        publish(lake)


def test_rows_spread_over_more_days_than_one_commit_takes_all_land(
    refreshed_lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gold.recompute.DAYS_PER_COMMIT", 2)
    lake = refreshed_lake
    before = versions(lake)
    start = datetime(2026, 1, 20, tzinfo=UTC)
    bursts = [a_burst(10 + 10 * day, (start + timedelta(days=day)).isoformat()) for day in range(5)]
    append_batch(lake, [failure for burst in bursts for failure in burst], number=1)
    refresh(lake)

    for table in (IP_ACTIVITY.table, DETECTIONS):
        assert lake.version(table) > before[table.full_name] + 1
    assert len(rows_of(lake, DETECTIONS)) == 5
    assert follows_from_bronze(lake)
