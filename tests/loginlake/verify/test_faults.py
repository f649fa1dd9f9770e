"""Each fault that is put into a lake is found, located and reported with a hint."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from lakehouse.errors import TableMissing
from lakehouse.progress import BronzeProgress, SilverProgress
from lakehouse.settings import Settings
from lakehouse.tables import TABLES
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import FIRST_SEEN, RESTATEMENTS, SNAPSHOTS
from lakehouse.tables.metrics import IP_ACTIVITY, PAIR_ACTIVITY, USER_ACTIVITY
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from loginlake.verify import Report, VerifyOptions, verify
from loginlake.verify.broker import RECORDS_CLAIM
from serving.store import Store
from tests.loginlake.verify.conftest import Verified
from tests.loginlake.verify.lakes import NOON, OFFSETS, RAW_SCHEMA, HandmadeLake, check_of, failed, faults_of
from tests.serving.lakes import retain_from, settings_of

Fault = Callable[[HandmadeLake], None]
DAY = timedelta(days=1)
IPS, USERS = IP_ACTIVITY.table, USER_ACTIVITY.table


def commit(lake: HandmadeLake, table: Table, version: int) -> Path:
    return lake.log(table) / f"{version:020}.json"


def last_commit(lake: HandmadeLake, table: Table) -> Path:
    return commit(lake, table, lake.table(table).version())


def a_data_file(lake: HandmadeLake, table: Table) -> Path:
    """Return a file that the newest version needs."""
    return Path(lake.uri(table)) / sorted(pl.Series(lake.table(table).file_uris()))[0].rpartition(f"{table.name}/")[2]


def rewritten(table: Table, change: pl.Expr, *, where: pl.Expr) -> Fault:
    """Change a column in some rows of a table."""

    def write(lake: HandmadeLake) -> None:
        name = change.meta.output_name()
        rows = pl.read_delta(lake.uri(table))
        changed = rows.with_columns(pl.when(where).then(change).otherwise(pl.col(name)).alias(name))
        lake.overwrite(table, changed.to_arrow())
        publish_versions(lake)

    return write


def publish_versions(lake: HandmadeLake) -> None:
    """Publish the newest versions with the offsets of the last snapshot."""
    lake.append_snapshot(4, OFFSETS)


def silver_without(condition: str) -> Fault:
    def delete(lake: HandmadeLake) -> None:
        lake.table(EVENTS).delete(condition)
        publish_versions(lake)

    return delete


def repeated(table: Table, offsets: pl.Expr) -> Fault:
    def append(lake: HandmadeLake) -> None:
        rows = pl.read_delta(lake.uri(table)).filter((pl.col("partition") == 0) & offsets)
        rows.write_delta(lake.uri(table), mode="append")

    return append


def a_snapshot(number: int = 4, **values: object) -> Fault:
    return lambda lake: lake.append_snapshot(number, OFFSETS, **values)


def a_checkpoint(lake: HandmadeLake, table: Table) -> Path:
    lake.table(table).create_checkpoint()
    return next(lake.log(table).glob("*.checkpoint.parquet"))


def deleted(path: Callable[[HandmadeLake], Path]) -> Fault:
    return lambda lake: path(lake).unlink()


def filled(path: Callable[[HandmadeLake], Path], content: bytes) -> Fault:
    return lambda lake: path(lake).write_bytes(content)


def cut(path: Callable[[HandmadeLake], Path]) -> Fault:
    return lambda lake: path(lake).write_bytes(path(lake).read_bytes()[:-9])


def without_earlier_commits(lake: HandmadeLake) -> None:
    """Do what maintenance does to a log: a checkpoint replaces the commits before it; their snapshots have expired."""
    retain_from(lake.settings, 3)
    a_checkpoint(lake, IPS)
    for version in range(3):
        commit(lake, IPS, version).unlink()


def a_lost_checkpoint(lake: HandmadeLake) -> None:
    a_checkpoint(lake, IPS).unlink()


def lost_with_its_commits(lake: HandmadeLake) -> None:
    without_earlier_commits(lake)
    next(lake.log(IPS).glob("*.checkpoint.parquet")).unlink()


def silver_data(lake: HandmadeLake) -> Path:
    return a_data_file(lake, EVENTS)


def first_of_pairs(lake: HandmadeLake) -> Path:
    return commit(lake, PAIR_ACTIVITY, 1)


def last_of_ips(lake: HandmadeLake) -> Path:
    return last_commit(lake, IPS)


def last_checkpoint_of_ips(lake: HandmadeLake) -> Path:
    a_checkpoint(lake, IPS)
    return lake.log(IPS) / "_last_checkpoint"


def in_another_partition(lake: HandmadeLake) -> None:
    path = last_of_ips(lake)
    path.write_text(path.read_text().replace('"window_on":"2026-03-02"', '"window_on":"2026-03-05"'))


def a_restatement(*snapshots: int) -> Fault:
    row = {"table_name": IPS.full_name, "key": "{}", "window_at": NOON}

    def append(lake: HandmadeLake) -> None:
        rows = [row | {"snapshot_id": number} for number in snapshots]
        lake.append(RESTATEMENTS, pa.Table.from_pylist(rows, schema=RESTATEMENTS.arrow_schema()))
        publish_versions(lake)

    return append


IS_ADA = pl.col("username") == "ada"
FAULTS: dict[str, tuple[Fault, str]] = {
    "one silver row": (silver_without("partition = 0 AND offset = 17"), "logs:0:17 missing"),
    "consecutive silver rows": (silver_without("partition = 0 AND offset BETWEEN 3 AND 9"), "logs:0:3-9 missing"),
    "a repeated row in silver": (
        repeated(EVENTS, pl.col("offset").is_between(4, 6)),
        "logs:0:4-6 appears more than once",
    ),
    "a repeated row in bronze": (repeated(RAW_LOGS, pl.col("offset") == 4), "logs:0:4 appears more than once"),
    "bronze rows that silver has": (lambda lake: lake.table(RAW_LOGS).delete("offset = 2"), "logs:0:2 missing"),
    "recorded offsets below bronze's rows": (
        lambda lake: lake.append_raw([], read={("logs", 0): 32}),
        "logs:0 the commit records 32, bronze has 32",
    ),
    "a recorded ingest time before bronze's rows": (
        lambda lake: lake.append(RAW_LOGS, RAW_SCHEMA.empty_table(), BronzeProgress(OFFSETS, NOON).to_json()),
        "the commit records 2026-03-02 12:00:00+00:00, bronze has 2026-03-02 13:",
    ),
    "a recorded ingest day without silver rows": (
        lambda lake: lake.append(
            EVENTS, EVENTS.arrow_schema().empty_table(), SilverProgress(OFFSETS, NOON.date() + DAY, {}).to_json()
        ),
        "the commit records 2026-03-03, silver has 2026-03-02",
    ),
    "recorded offsets other than silver's": (
        lambda lake: lake.append(
            EVENTS, EVENTS.arrow_schema().empty_table(), SilverProgress({("logs", 0): 32}, NOON.date(), {}).to_json()
        ),
        "logs:0 the commit records 32, silver has 33",
    ),
    "a file in another partition": (in_another_partition, "gold.ip_activity has a commit 3 that puts window_on="),
    "a restatement of no snapshot": (a_restatement(9), "1 restatements belong to snapshot 9, which has none"),
    "a repeated restatement": (a_restatement(2, 2), "1 restatements appear more than once"),
    "all snapshots": (
        lambda lake: lake.table(SNAPSHOTS).delete(),
        "snapshot 3 is recorded in a commit but missing in gold.snapshots",
    ),
    "all snapshots and their log": (
        lambda lake: (a_restatement(2)(lake), shutil.rmtree(lake.uri(SNAPSHOTS))),
        "1 restatements belong to snapshots that gold.snapshots does not have",
    ),
    "an id accepted twice": (
        rewritten(EVENTS, pl.lit("f0-1").alias("event_id"), where=pl.col("event_id") == "f0-2"),
        "2026-03-02 f0-1 is accepted 2 times",
    ),
    "a winner that does not exist": (
        rewritten(EVENTS, pl.lit(99, pl.Int64).alias("winner_offset"), where=pl.col("verdict") == "duplicate"),
        "logs:1:0 names a row that is not accepted or has another id",
    ),
    "attempts in the base": (
        rewritten(PAIR_ACTIVITY, pl.lit(7, pl.Int64).alias("attempts"), where=IS_ADA),
        "gold.pair_activity_hourly has 45 attempts, silver has 27",
    ),
    "successes in a metric": (
        rewritten(USERS, pl.lit(0, pl.Int64).alias("successes"), where=IS_ADA),
        "gold.user_activity has 0 successes, silver has 3",
    ),
    "a value that no login has": (
        rewritten(FIRST_SEEN, pl.lit("app").alias("kind"), where=pl.col("kind") == "agent"),
        "gold.first_seen has 2 of kind app, silver has 1",
    ),
    "a missing snapshot": (a_snapshot(5), "snapshot 4 is missing"),
    "millions of missing snapshots": (a_snapshot(5_000_000), "snapshots 4-4999999 are missing"),
    "a snapshot that differs from its commit": (
        a_snapshot(last_append_at=NOON - DAY),
        "snapshot 4 differs from its commit in last_append_at",
    ),
    "a repeated snapshot": (a_snapshot(3), "snapshot 3 appears 2 times"),
    "a snapshot time that decreases": (
        a_snapshot(at=NOON),
        "snapshot 4 is of 2026-03-02T12:00:00Z, not later than",
    ),
    "a version that decreases": (
        a_snapshot(
            versions=json.dumps(
                {name: 1 for name in TABLES if name not in ("bronze.raw_logs", "gold.snapshots", "gold.labels")}
            )
        ),
        "snapshot 4 names version 1 of gold.app_activity, snapshot 3 names 3",
    ),
    "offsets past silver's": (
        a_snapshot(offsets='{"logs":{"0":34,"1":6}}'),
        "logs:0 the snapshot records 34, silver has 33",
    ),
    "offsets that decrease": (
        a_snapshot(offsets='{"logs":{"0":33,"1":5}}'),
        "snapshot 4 covers logs:1 up to 5, snapshot 3 up to 6",
    ),
    "a missing commit": (deleted(first_of_pairs), "gold.pair_activity_hourly has lost commit 1"),
    "an empty commit": (filled(first_of_pairs, b""), "gold.pair_activity_hourly has an empty commit 1"),
    "a corrupt commit": (filled(first_of_pairs, b"\x00\xff{"), "gold.pair_activity_hourly has a commit 1 that can't"),
    "a missing last commit": (
        deleted(last_of_ips),
        "gold.ip_activity ends at version 2, but snapshot 3 names 3: commit 3 lost",
    ),
    "an empty last commit": (filled(last_of_ips, b""), "gold.ip_activity has an empty commit 3"),
    "a corrupt last commit": (filled(last_of_ips, b"{]"), "gold.ip_activity has a commit 3 that can't be read"),
    "a missing checkpoint": (a_lost_checkpoint, "gold.ip_activity has lost checkpoint 3, which"),
    "a missing checkpoint and its commits": (
        lost_with_its_commits,
        "gold.ip_activity has no checkpoint for the commits",
    ),
    "an empty checkpoint": (filled(lambda lake: a_checkpoint(lake, IPS), b""), "has a checkpoint 3 that can't"),
    "a corrupt _last_checkpoint": (
        filled(last_checkpoint_of_ips, b"soon"),
        "gold.ip_activity has a _last_checkpoint that can't",
    ),
    "an empty last commit of the snapshots": (
        filled(lambda lake: last_commit(lake, SNAPSHOTS), b""),
        "gold.snapshots has an empty commit 3",
    ),
    "a missing data file": (deleted(silver_data), ".parquet is missing"),
    "a truncated data file": (cut(silver_data), "bytes, the log records"),
    "an empty data file": (filled(silver_data, b""), " has 0 bytes, the log records"),
    "a missing bronze file": (
        deleted(lambda lake: a_data_file(lake, RAW_LOGS)),
        "bronze.raw_logs/ingested_on=2026-03-02/",
    ),
}


def test_a_healthy_lake_passes_every_check_and_reports_what_was_skipped(healthy_report: Report) -> None:
    assert faults_of(healthy_report) == []
    assert healthy_report.ok
    assert [check.claim for check in healthy_report.checks if check.passed is None] == [RECORDS_CLAIM]
    assert all(check.checked for check in healthy_report.checks if check.passed)
    assert healthy_report.layers == {"kafka": None, "bronze": 39, "silver": 39}
    assert healthy_report.snapshot == 3


@pytest.mark.parametrize(("inject", "fault"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_located_and_has_a_hint(lake: HandmadeLake, verified: Verified, inject: Fault, fault: str) -> None:
    inject(lake)

    report = verified()

    assert not report.ok
    assert [each for each in faults_of(report) if fault in each], faults_of(report)
    assert all(check.hint for check in failed(report))
    assert all(check.faults >= len(check.details) > 0 for check in failed(report))


def test_a_log_whose_old_commits_a_checkpoint_replaces_is_complete(lake: HandmadeLake, verified: Verified) -> None:
    without_earlier_commits(lake)

    assert faults_of(verified()) == []


def test_a_version_that_a_retained_snapshot_names_must_exist(lake: HandmadeLake, verified: Verified) -> None:
    without_earlier_commits(lake)
    retain_from(lake.settings, 1)

    report = verified()

    assert "gold.ip_activity begins at version 3, but snapshot 1 names 1" in faults_of(report)


def test_only_files_of_retained_snapshots_must_exist(lake: HandmadeLake, verified: Verified) -> None:
    old = sorted(set(DeltaTable(lake.uri(EVENTS), version=2).file_uris()) - set(lake.table(EVENTS).file_uris()))
    Path(old[0].removeprefix("file://")).unlink()

    assert any("is missing" in fault for fault in faults_of(verified()))
    retain_from(lake.settings, 3)
    assert verified().ok


@pytest.mark.parametrize("number", [1, 2])
def test_an_earlier_snapshot_is_verified_at_its_own_versions(healthy: Settings, number: int) -> None:
    report = verify(healthy, Store(healthy), options=VerifyOptions(snapshot=number, is_deep=True))

    assert faults_of(report) == []
    assert report.snapshot == number
    assert report.layers == {"kafka": None, "bronze": 13 * number, "silver": 13 * number}


def test_a_fault_after_a_snapshot_does_not_affect_its_verification(lake: HandmadeLake, verified: Verified) -> None:
    silver_without("partition = 0 AND offset = 17")(lake)

    assert verified(snapshot=3).ok
    assert not verified(snapshot=4).ok


def test_bronze_rows_that_silver_has_not_read_are_counted_but_no_fault(lake: HandmadeLake, verified: Verified) -> None:
    lake.append_records([b"{}", b"{}"], partition=1)

    report = verified()

    assert report.ok
    assert report.unread == {"kafka": 0, "bronze": 2}


def test_a_lake_that_has_only_bronze_passes_and_says_that_no_snapshot_is_published(tmp_path: Path) -> None:
    young = settings_of(tmp_path)
    HandmadeLake(young).append_records([b"{}"], partition=0)

    report = verify(young, Store(young))

    assert report.ok
    assert report.layers == {"kafka": None, "bronze": 1, "silver": 0}
    check = check_of(report, "a snapshot is published")
    assert check.passed is None
    assert "loginlake refresh" in check.hint


def test_a_lake_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    nowhere = settings_of(tmp_path)

    with pytest.raises(TableMissing, match="loginlake bronze"):
        verify(nowhere, Store(nowhere))
