"""The gold job on Spark: updates, rebuilds and publications."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.activity import stored_rows
from gold.job import refresh_gold
from gold.publish import last_snapshot
from lakehouse.errors import LockHeld
from lakehouse.lake import Lake
from lakehouse.locks import writer_lock
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import CONFIRMED, DETECTIONS, RETRACTED, SNAPSHOTS
from lakehouse.tables.metrics import IP_ACTIVITY, PAIR_ACTIVITY, STORED_METRICS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from loginlake.pipeline import rebuild_gold, refresh
from silver.job import update_silver
from tests.spark_lakes import a_raw, a_raw_login, append_batch, copied, faults_of_recomputation, rows_of

PUBLISHED_AT = datetime(2026, 2, 3, tzinfo=UTC)


def a_failure(offset: int, **fields: Any) -> dict[str, Any]:
    return a_raw_login(offset, **{"outcome": "failure", "src_ip": "192.0.2.1", "username": f"u{offset % 3}"} | fields)


def a_burst(first: int, at: str, count: int = 7) -> list[dict[str, Any]]:
    """Return failures of one address at one instant, enough for the rule to fire."""
    return [a_failure(offset, event_at=at) for offset in range(first, first + count)]


def an_anonymous_login(offset: int) -> dict[str, Any]:
    return a_raw_login(offset, src_ip=None, username=None, event_at="2026-02-01T09:30:00Z")


class Stopped(Exception):
    """Raised in the middle of a job."""


class StoppingLake(Lake):
    """A lake whose writer stops between the base and the other tables."""

    def replace_days(self, table: Table, rows: DataFrame, *, days: Sequence[date]) -> None:
        if table != PAIR_ACTIVITY:
            raise Stopped
        super().replace_days(table, rows, days=days)


def versions(lake: Lake) -> dict[str, int]:
    return {table.full_name: lake.version(table) for table in (*SNAPSHOT_TABLES, SNAPSHOTS)}


@pytest.fixture(scope="module")
def published_lake(spark: SparkSession, created: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake that was refreshed once. Tests must not write to it; `copy` is for those that do.

    It has a burst, a login without user and address, a broken record, an earlier event, and a duplicate whose append
    time no calendar has: a producer may set it in a topic with timestamp type CreateTime.
    """
    lake = copied(spark, created, tmp_path_factory.mktemp("published"))
    earlier = a_failure(11, event_at="2026-02-01T09:00:00Z")
    append_batch(lake, [*a_burst(0, "2026-02-01T10:00:00Z"), an_anonymous_login(7), a_raw(8), earlier])
    duplicate = lake.read(RAW_LOGS).where("offset = 11").withColumn("offset", F.lit(12).cast("long"))
    lake.append(RAW_LOGS, duplicate.withColumn("appended_at", F.timestamp_micros(F.lit(1_772_000_000_000_000_000))))
    refresh(lake, clock=lambda: PUBLISHED_AT)
    return lake


@pytest.fixture
def copy(published_lake: Lake, tmp_path: Path) -> Lake:
    """A copy of the published lake; the next batch is number 1."""
    return copied(published_lake.spark, Path(published_lake.settings.root), tmp_path)


def test_a_refresh_publishes_the_versions_offsets_and_now_of_all_tables(published_lake: Lake) -> None:
    lake, snapshot = published_lake, last_snapshot(published_lake)

    assert (snapshot.id, snapshot.at) == (1, PUBLISHED_AT)
    assert snapshot.versions == {table.full_name: lake.version(table) for table in SNAPSHOT_TABLES}
    assert snapshot.offsets == {("logs", 0): 13}
    assert snapshot.last_event_at == datetime(2026, 2, 1, 10, tzinfo=UTC)
    assert snapshot.last_append_at == a_raw(11)["appended_at"]


def test_a_refresh_computes_what_another_engine_computes(published_lake: Lake) -> None:
    assert faults_of_recomputation(published_lake) == []


def test_a_refresh_without_new_rows_writes_and_publishes_nothing(published_lake: Lake) -> None:
    lake, before = published_lake, versions(published_lake)

    assert refresh(lake) is None
    assert update_silver(lake) == 0
    assert refresh_gold(lake) is None
    assert versions(lake) == before


def test_refreshing_an_empty_lake_writes_and_publishes_nothing(lake: Lake) -> None:
    before = versions(lake)

    assert refresh(lake) is None
    assert versions(lake) == before


def test_refreshing_batch_by_batch_equals_computing_everything_at_once(copy: Lake) -> None:
    lake = copy
    # A late row of a closed hour, a duplicate, a null key again, a burst that joins the first one, a burst before
    # midnight and one after it, and one before the first burst, which then belongs to its detection.
    append_batch(
        lake,
        [
            a_failure(20, event_at="2026-01-12T00:00:00Z", event_id="late"),
            a_failure(21, event_at="2026-02-01T10:00:00Z", event_id="e0-0"),
            an_anonymous_login(22),
            *a_burst(23, "2026-02-01T10:30:00Z"),
            *a_burst(30, "2026-01-31T23:50:00Z"),
            *a_burst(40, "2026-02-01T00:20:00Z"),
            *a_burst(50, "2026-02-01T09:30:00Z"),
        ],
        number=1,
    )
    refresh(lake)

    assert faults_of_recomputation(lake) == []
    of_status = {
        status: sorted(row["fired_on"] for row in rows_of(lake, DETECTIONS) if row["status"] == status)
        for status in (CONFIRMED, RETRACTED)
    }
    assert of_status == {CONFIRMED: [date(2026, 1, 31), date(2026, 2, 1)], RETRACTED: [date(2026, 2, 1)]}


def test_only_the_touched_days_are_written_again(refreshed_lake: Lake) -> None:
    lake, of_day = refreshed_lake, F.col("window_on") == F.lit(date(2026, 2, 1))
    before = {row[0] for row in lake.read(PAIR_ACTIVITY).where(of_day).select("_metadata.file_path").collect()}

    append_batch(lake, [a_failure(1, event_at="2026-01-20T10:00:00Z")], number=1)
    refresh(lake)

    assert before
    assert {row[0] for row in lake.read(PAIR_ACTIVITY).where(of_day).select("_metadata.file_path").collect()} == before
    assert sum(row["attempts"] for row in rows_of(lake, IP_ACTIVITY.table)) == 2


def test_keys_without_events_are_deleted_and_their_detections_retracted_until_they_are_found_again(copy: Lake) -> None:
    lake = copy
    (confirmed,) = rows_of(lake, DETECTIONS)
    events = f"delta.`{lake.uri(EVENTS)}`"
    lake.spark.sql(f"UPDATE {events} SET verdict = 'broken', reason = 'bad_value' WHERE src_ip = '192.0.2.1'")

    snapshot = refresh_gold(lake)

    assert snapshot is not None
    assert [row["src_ip"] for row in rows_of(lake, IP_ACTIVITY.table)] == [None]
    retracted = confirmed | {"status": RETRACTED, "retracted_in": snapshot.id}
    assert rows_of(lake, DETECTIONS) == [retracted]
    rebuild_gold(lake)
    assert rows_of(lake, DETECTIONS) == [retracted]
    lake.spark.sql(f"UPDATE {events} SET verdict = 'accepted', reason = NULL WHERE src_ip = '192.0.2.1'")
    refresh_gold(lake)
    assert rows_of(lake, DETECTIONS) == [confirmed]


def test_tables_that_a_stopped_refresh_wrote_are_computed_again(refreshed_lake: Lake) -> None:
    lake = refreshed_lake
    append_batch(lake, [a_failure(1), a_failure(2)], number=1)
    update_silver(lake)
    stopping = StoppingLake(lake.spark, lake.settings)
    with pytest.raises(Stopped):
        refresh_gold(stopping)
    assert lake.version(PAIR_ACTIVITY) > last_snapshot(lake).versions[PAIR_ACTIVITY.full_name]

    assert refresh(lake) is not None
    assert faults_of_recomputation(lake) == []


def test_gold_is_rebuilt_if_delta_refuses_the_change_feed(refreshed_lake: Lake) -> None:
    lake = refreshed_lake
    lake.spark.sql(f"ALTER TABLE delta.`{lake.uri(EVENTS)}` SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'false')")
    append_batch(lake, [a_failure(1), a_failure(2, src_ip="198.51.100.1")], number=1)

    assert refresh(lake) is not None
    assert faults_of_recomputation(lake) == []


def test_stored_metrics_equal_those_computed_from_the_base(published_lake: Lake) -> None:
    lake, base = published_lake, published_lake.read(PAIR_ACTIVITY)
    for metric in STORED_METRICS:
        computed = stored_rows(metric, base).orderBy(*metric.key).toArrow().to_pylist()
        assert computed == rows_of(lake, metric.table)


def test_a_second_refresh_is_refused(lake: Lake) -> None:
    with writer_lock(lake, "refresh"), pytest.raises(LockHeld, match="lock of refresh"):
        refresh_gold(lake)


def test_changes_on_more_days_than_fit_into_one_commit_are_all_written(
    refreshed_lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gold.changes.DAYS_PER_COMMIT", 2)
    lake = refreshed_lake
    before = versions(lake)
    start = datetime(2026, 1, 20, tzinfo=UTC)
    bursts = [a_burst(10 + 10 * day, (start + timedelta(days=day)).isoformat()) for day in range(3)]
    append_batch(lake, [failure for burst in bursts for failure in burst], number=1)
    refresh(lake)

    for table in (IP_ACTIVITY.table, DETECTIONS):
        assert lake.version(table) > before[table.full_name] + 1
    assert len(rows_of(lake, DETECTIONS)) == 3
    assert faults_of_recomputation(lake) == []
