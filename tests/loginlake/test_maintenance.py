"""Maintenance of a lake: fewer files, the same answers, and every retained snapshot stays readable."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse.errors import LockHeld
from lakehouse.fragments import FRAGMENTS
from lakehouse.lake import Lake
from lakehouse.locks import reader_lock
from lakehouse.snapshots import RETAINED_FROM
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import SNAPSHOTS
from lakehouse.tables.metrics import IP_ACTIVITY
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from loginlake.maintenance_plan import plan_maintenance
from loginlake.pipeline import refresh
from loginlake.retention import FILES_KEPT_FROM, maintain, published_snapshots
from loginlake.verify import verify
from serving.store import Store
from tests.spark_lakes import a_raw_login, append_batch, copied, rows_of

pytestmark = pytest.mark.slow

REFRESHED_AT = datetime(2026, 2, 3, tzinfo=UTC)
DAY = timedelta(days=1)
# Two more than are compacted.
BATCHES = FRAGMENTS + 2


@pytest.fixture(scope="module")
def ingested(spark: SparkSession, created: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a lake with a small file for each of some batches in bronze, and no snapshot."""
    lake = copied(spark, created, tmp_path_factory.mktemp("ingested"))
    for number in range(FRAGMENTS):
        append_batch(lake, [a_login_of_hour(number)], number=number)
    return Path(lake.settings.root)


@pytest.fixture(scope="module")
def published(spark: SparkSession, ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that lake with three snapshots, each a day after the one before."""
    lake = copied(spark, ingested, tmp_path_factory.mktemp("published"))
    refresh(lake, clock=lambda: REFRESHED_AT)
    for number in range(FRAGMENTS, BATCHES):
        append_batch(lake, [a_login_of_hour(number)], number=number)
        refresh(lake, clock=lambda at=REFRESHED_AT + (number - FRAGMENTS + 1) * DAY: at)
    return Path(lake.settings.root)


@pytest.fixture
def fragmented_lake(spark: SparkSession, published: Path, tmp_path: Path) -> Lake:
    """A copy of that lake."""
    return copied(spark, published, tmp_path)


@pytest.fixture(scope="module")
def compacted_lake(spark: SparkSession, published: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Another copy after a maintenance, just after its last snapshot, that retains all of them; not to be changed."""
    lake = copied(spark, published, tmp_path_factory.mktemp("compacted"))
    return maintained(lake, after=timedelta(0), retention_days=30)


@pytest.fixture(scope="module")
def expired_lake(spark: SparkSession, published: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Another copy after a maintenance, just after its last snapshot, that retains only that one; not to be changed."""
    return maintained(copied(spark, published, tmp_path_factory.mktemp("expired")), after=timedelta(0))


def a_login_of_hour(hour: int) -> dict[str, Any]:
    return a_raw_login(hour, event_at=f"2026-02-01T{hour:02}:00:00Z")


def with_retention(lake: Lake, *, retention_days: int, retention_grace_days: int) -> Lake:
    return lake.with_settings(retention_days=retention_days, retention_grace_days=retention_grace_days)


def maintained(lake: Lake, *, after: timedelta, retention_days: int = 0, retention_grace_days: int = 0) -> Lake:
    """The lake after a maintenance some time after its last snapshot."""
    kept = with_retention(lake, retention_days=retention_days, retention_grace_days=retention_grace_days)
    maintain(kept, clock=lambda: REFRESHED_AT + 2 * DAY + after)
    return kept


def files(lake: Lake, table: Table, pattern: str = "**/part-*.parquet") -> set[str]:
    folder = Path(lake.uri(table))
    return {str(file.relative_to(folder)) for file in folder.glob(pattern)}


def file_names(lake: Lake, table: Table) -> set[str]:
    return {Path(file).name for file in files(lake, table)}


def all_rows(lake: Lake) -> dict[str, list[dict[str, Any]]]:
    return {table.full_name: rows_of(lake, table) for table in (RAW_LOGS, *SNAPSHOT_TABLES)}


def test_small_files_become_one_and_no_row_changes(fragmented_lake: Lake, expired_lake: Lake) -> None:
    assert len(files(fragmented_lake, RAW_LOGS)) == BATCHES
    assert len(files(expired_lake, RAW_LOGS)) == 1
    assert all_rows(expired_lake) == all_rows(fragmented_lake)
    assert verify(expired_lake.settings, Store(expired_lake.settings)).ok


def test_compacted_tables_are_published_and_the_next_refresh_computes_only_what_is_new(
    compacted_lake: Lake, tmp_path: Path
) -> None:
    lake = copied(compacted_lake.spark, Path(compacted_lake.settings.root), tmp_path)
    versions = {table.full_name: lake.version(table) for table in SNAPSHOT_TABLES}

    assert published_snapshots(lake)[-1].versions == versions
    assert refresh(lake) is None
    append_batch(lake, [a_raw_login(90, event_at="2026-02-01T09:00:00Z")], number=90)
    assert refresh(lake) is not None
    assert len(rows_of(lake, EVENTS)) == BATCHES + 1


def test_files_of_a_retained_snapshot_stay_just_after_it_was_superseded(
    fragmented_lake: Lake, compacted_lake: Lake
) -> None:
    snapshots = [snapshot.id for snapshot in published_snapshots(fragmented_lake)]
    answers = [store_rows(fragmented_lake, snapshot) for snapshot in snapshots]

    assert [store_rows(compacted_lake, snapshot) for snapshot in snapshots] == answers
    assert answers[0] != answers[-1]


def test_files_of_a_retained_snapshot_stay_however_old_they_are(fragmented_lake: Lake) -> None:
    answers = {
        snapshot.id: store_rows(fragmented_lake, snapshot.id) for snapshot in published_snapshots(fragmented_lake)[1:]
    }
    for file in Path(fragmented_lake.uri(IP_ACTIVITY.table)).rglob("*.parquet"):
        os.utime(file, (0, 0))

    lake = maintained(fragmented_lake, after=timedelta(0), retention_days=1)

    assert min(int(lake.table_property(SNAPSHOTS, name)) for name in (RETAINED_FROM, FILES_KEPT_FROM)) == 2
    assert {number: store_rows(lake, number) for number in answers} == answers


def test_files_are_removed_for_a_day_of_snapshots_together(fragmented_lake: Lake) -> None:
    before = files(fragmented_lake, IP_ACTIVITY.table)

    lake = maintained(fragmented_lake, after=DAY - timedelta(seconds=1), retention_days=2)

    assert before <= files(lake, IP_ACTIVITY.table)
    assert lake.table_property(SNAPSHOTS, FILES_KEPT_FROM) is None


def test_a_longer_retention_does_not_make_removed_snapshots_queryable(expired_lake: Lake, tmp_path: Path) -> None:
    kept = expired_lake.table_property(SNAPSHOTS, FILES_KEPT_FROM)

    lake = copied(expired_lake.spark, Path(expired_lake.settings.root), tmp_path)
    lake = maintained(lake, after=timedelta(0), retention_days=30, retention_grace_days=30)

    assert lake.table_property(SNAPSHOTS, RETAINED_FROM) == lake.table_property(SNAPSHOTS, FILES_KEPT_FROM) == kept


def test_an_expired_snapshot_is_refused_and_its_files_are_removed(fragmented_lake: Lake, expired_lake: Lake) -> None:
    lake = expired_lake

    # Although the files were superseded just now: the snapshots decide, not the age of files.
    named = {Path(uri).name for uri in lake.read(IP_ACTIVITY.table).inputFiles()}
    assert file_names(lake, IP_ACTIVITY.table) == named < file_names(fragmented_lake, IP_ACTIVITY.table)
    assert json.loads(lake.table_property(SNAPSHOTS, RETAINED_FROM)) == published_snapshots(lake)[-1].id


def test_files_of_an_expired_snapshot_stay_for_the_grace_period(fragmented_lake: Lake) -> None:
    before = files(fragmented_lake, IP_ACTIVITY.table)

    lake = maintained(fragmented_lake, after=DAY, retention_grace_days=30)

    assert before <= files(lake, IP_ACTIVITY.table)
    assert lake.table_property(SNAPSHOTS, RETAINED_FROM) == str(published_snapshots(lake)[-1].id)


def test_commits_that_no_retained_version_needs_are_removed(expired_lake: Lake) -> None:
    lake = expired_lake

    newest = lake.version(EVENTS)
    assert files(lake, EVENTS, "_delta_log/*.json") == {f"_delta_log/{newest:020}.json"}
    assert files(lake, EVENTS, "_delta_log/*.checkpoint.parquet") == {f"_delta_log/{newest:020}.checkpoint.parquet"}
    assert len(Store(lake.settings).snapshots()) == len(published_snapshots(lake))


def test_a_maintenance_with_nothing_to_do_writes_nothing(expired_lake: Lake) -> None:
    lake = expired_lake
    tables = (RAW_LOGS, *SNAPSHOT_TABLES, SNAPSHOTS)
    before = {table.full_name: lake.version(table) for table in tables}

    maintained(lake, after=DAY)

    assert {table.full_name: lake.version(table) for table in tables} == before
    assert sum(planned.small_files for planned in plan_maintenance(lake.settings)) == 0


def test_no_file_is_removed_below_an_open_reader_without_a_grace_period(fragmented_lake: Lake) -> None:
    before = files(fragmented_lake, IP_ACTIVITY.table)

    with reader_lock(fragmented_lake.settings), pytest.raises(LockHeld, match="RETENTION_GRACE_DAYS"):
        maintained(fragmented_lake, after=DAY)

    assert files(fragmented_lake, IP_ACTIVITY.table) == before


def test_a_lake_without_a_snapshot_is_compacted_and_keeps_its_files(
    spark: SparkSession, ingested: Path, tmp_path: Path
) -> None:
    lake = copied(spark, ingested, tmp_path)

    planned = plan_maintenance(lake.settings)
    done = maintain(lake)

    assert {table.table: table.small_files for table in planned if table.small_files} == {RAW_LOGS.full_name: FRAGMENTS}
    assert {table.table: table.small_files for table in done}[RAW_LOGS.full_name] == FRAGMENTS
    sizes = {table.table: table.bytes_before for table in done}
    assert {table.table: table.bytes_before for table in planned} == sizes
    assert len(files(lake, RAW_LOGS)) > FRAGMENTS
    assert published_snapshots(lake) == []


def store_rows(lake: Lake, snapshot_id: int) -> list[dict[str, Any]]:
    store = Store(lake.settings)
    rows = store.rows(IP_ACTIVITY.table, store.snapshot(snapshot_id=snapshot_id)).collect()
    return rows.sort(*IP_ACTIVITY.table.key).to_dicts()
