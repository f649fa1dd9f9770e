"""Each fault that can be put into a lake is found, named, and said how to mend."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.extent import Extent
from lakehouse.progress import Progress
from lakehouse.settings import Settings
from lakehouse.tables import TABLES
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import IP_ACTIVITY, PAIR_ACTIVITY, RESTATEMENTS, SNAPSHOTS, USER_ACTIVITY
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from loginlake.verify import VerifyOptions, verify
from serving.store import Store
from tests.loginlake.verify.conftest import Verified
from tests.loginlake.verify.lakes import NOON, OFFSETS, RAW_SCHEMA, HandmadeLake, faults_of, faulty
from tests.serving.lakes import promise

Fault = Callable[[HandmadeLake], None]
DAY = timedelta(days=1)
IPS, USERS = IP_ACTIVITY.table, USER_ACTIVITY.table


def commit(lake: HandmadeLake, table: Table, version: int) -> Path:
    return lake.log(table) / f"{version:020}.json"


def last_commit(lake: HandmadeLake, table: Table) -> Path:
    return commit(lake, table, lake.table(table).version())


def a_data_file(lake: HandmadeLake, table: Table) -> Path:
    """A file that the newest version needs."""
    return Path(lake.uri(table)) / sorted(pl.Series(lake.table(table).file_uris()))[0].rpartition(f"{table.name}/")[2]


def rewritten(table: Table, change: pl.Expr, *, where: pl.Expr) -> Fault:
    """The rows of a table with a column changed in some of them."""

    def write(lake: HandmadeLake) -> None:
        name = change.meta.output_name()
        rows = pl.read_delta(lake.uri(table))
        changed = rows.with_columns(pl.when(where).then(change).otherwise(pl.col(name)).alias(name))
        lake.overwrite(table, changed.to_arrow())
        publish_versions(lake)

    return write


def publish_versions(lake: HandmadeLake) -> None:
    """A snapshot that names what is there now, with the offsets of the last."""
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


def gone(path: Callable[[HandmadeLake], Path]) -> Fault:
    return lambda lake: path(lake).unlink()


def filled(path: Callable[[HandmadeLake], Path], content: bytes) -> Fault:
    return lambda lake: path(lake).write_bytes(content)


def cut(path: Callable[[HandmadeLake], Path]) -> Fault:
    return lambda lake: path(lake).write_bytes(path(lake).read_bytes()[:-9])


def without_earlier_commits(lake: HandmadeLake) -> None:
    """As an upkeep leaves a log: a checkpoint stands for the commits before it, and their snapshots have expired."""
    promise(lake.settings, 3)
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


def hint_of_ips(lake: HandmadeLake) -> Path:
    a_checkpoint(lake, IPS)
    return lake.log(IPS) / "_last_checkpoint"


def without_users(lake: HandmadeLake) -> None:
    rows = pl.read_delta(lake.uri(IPS)).drop("users").to_arrow()
    write_deltalake(lake.uri(IPS), rows, mode="overwrite", schema_mode="overwrite", partition_by=["window_on"])
    publish_versions(lake)


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


IS_SECOND = (pl.col("partition") == 1) & (pl.col("offset") == 1)
IS_ADA = pl.col("username") == "ada"
FAULTS: dict[str, tuple[Fault, str]] = {
    "one silver row": (silver_without("partition = 0 AND offset = 17"), "logs:0:17 missing"),
    "silver rows in a row": (silver_without("partition = 0 AND offset BETWEEN 3 AND 9"), "logs:0:3-9 missing"),
    "a row twice in silver": (repeated(EVENTS, pl.col("offset").is_between(4, 6)), "logs:0:4-6 twice"),
    "a row twice in bronze": (repeated(RAW_LOGS, pl.col("offset") == 4), "logs:0:4 twice"),
    "bronze rows that silver has": (lambda lake: lake.table(RAW_LOGS).delete("offset = 2"), "logs:0:2 missing"),
    "a note that bronze's rows are past": (
        lambda lake: lake.append_raw([], read={("logs", 0): 32}),
        "logs:0 32 in the commit, 32 is in bronze",
    ),
    "a note of an instant that bronze's rows are past": (
        lambda lake: lake.append(RAW_LOGS, RAW_SCHEMA.empty_table(), Extent(OFFSETS, NOON).to_json()),
        "2026-03-02 12:00:00+00:00 in the commit, 2026-03-02 13:",
    ),
    "a note of a day on which silver read nothing": (
        lambda lake: lake.append(
            EVENTS, EVENTS.arrow_schema().empty_table(), Progress(OFFSETS, NOON.date() + DAY, {}).to_json()
        ),
        "2026-03-03 in the commit, 2026-03-02 in silver",
    ),
    "a column that is gone": (without_users, "gold.ip_activity lacks users"),
    "a file in another partition": (in_another_partition, "gold.ip_activity has a commit 3 that puts window_on="),
    "a restatement of no snapshot": (a_restatement(9), "1 restatements of snapshot 9, which restates none"),
    "a restatement twice": (a_restatement(2, 2), "1 restatements stand more than once"),
    "all snapshots": (lambda lake: lake.table(SNAPSHOTS).delete(), "snapshot 3 is in its commit and not in gold"),
    "an id accepted twice": (
        rewritten(EVENTS, pl.lit("f0-1").alias("event_id"), where=pl.col("event_id") == "f0-2"),
        "2026-03-02 f0-1 accepted 2 times",
    ),
    "a winner that is not there": (
        rewritten(EVENTS, pl.lit(99, pl.Int64).alias("winner_offset"), where=pl.col("verdict") == "duplicate"),
        "logs:1:0 has no such winner",
    ),
    "attempts in the base": (
        rewritten(PAIR_ACTIVITY, pl.lit(7, pl.Int64).alias("attempts"), where=IS_ADA),
        "45 attempts in gold.pair_activity_hourly, 27 in silver",
    ),
    "successes in a metric": (
        rewritten(USERS, pl.lit(0, pl.Int64).alias("successes"), where=IS_ADA),
        "0 successes in gold.user_activity, 3 in silver",
    ),
    "a snapshot that is missing": (a_snapshot(5), "snapshot 4 is missing"),
    "a snapshot that is missing by the million": (a_snapshot(5_000_000), "snapshots 4-4999999 are missing"),
    "a snapshot that is not as it was noted": (
        a_snapshot(last_append_at=NOON - DAY),
        "snapshot 4 differs from its commit in last_append_at",
    ),
    "a snapshot twice": (a_snapshot(3), "snapshot 3 stands 2 times"),
    "time that goes back": (a_snapshot(at=NOON), "snapshot 4 is of 2026-03-02T12:00:00+00:00, not later than"),
    "a version that goes back": (
        a_snapshot(
            versions=json.dumps({name: 1 for name in TABLES if name not in ("bronze.raw_logs", "gold.snapshots")})
        ),
        "snapshot 4 names version 1 of gold.app_activity, snapshot 3 3",
    ),
    "offsets that silver has not": (
        a_snapshot(offsets='{"logs":{"0":34,"1":6}}'),
        "logs:0 34 in the snapshot, 33 in silver",
    ),
    "a commit that is missing": (gone(first_of_pairs), "gold.pair_activity_hourly has lost commit 1"),
    "an empty commit": (filled(first_of_pairs, b""), "gold.pair_activity_hourly has an empty commit 1"),
    "a garbled commit": (filled(first_of_pairs, b"\x00\xff{"), "gold.pair_activity_hourly has a commit 1 that can't"),
    "the last commit missing": (
        gone(last_of_ips),
        "gold.ip_activity ends at version 2, snapshot 3 names 3: commit 3 lost",
    ),
    "the last commit empty": (filled(last_of_ips, b""), "gold.ip_activity has an empty commit 3"),
    "the last commit garbled": (filled(last_of_ips, b"{]"), "gold.ip_activity has a commit 3 that can't be read"),
    "a checkpoint that is missing": (a_lost_checkpoint, "gold.ip_activity has lost checkpoint 3, which"),
    "a checkpoint and its commits": (lost_with_its_commits, "gold.ip_activity has no checkpoint for the commits"),
    "an empty checkpoint": (filled(lambda lake: a_checkpoint(lake, IPS), b""), "has a checkpoint 3 that can't"),
    "a garbled _last_checkpoint": (filled(hint_of_ips, b"soon"), "gold.ip_activity has a _last_checkpoint that can't"),
    "the snapshots' last commit": (
        filled(lambda lake: last_commit(lake, SNAPSHOTS), b""),
        "gold.snapshots has an empty commit 3",
    ),
    "a data file missing": (gone(silver_data), ".parquet is missing"),
    "a data file cut": (cut(silver_data), "bytes, the log says"),
    "a data file empty": (filled(silver_data, b""), " has 0 bytes, the log says"),
    "a bronze file missing": (
        gone(lambda lake: a_data_file(lake, RAW_LOGS)),
        "bronze.raw_logs/ingested_on=2026-03-02/",
    ),
}


@pytest.fixture
def lake(settings: Settings) -> HandmadeLake:
    """The copy, to be damaged."""
    lake = HandmadeLake(settings)
    lake.raw = pl.read_delta(lake.uri(RAW_LOGS)).to_dicts()
    return lake


def test_a_healthy_lake_holds_every_claim_and_says_what_could_not_be_checked(verified: Verified) -> None:
    report = verified()

    assert faults_of(report) == []
    assert report.ok
    assert [check.claim for check in report.checks if check.holds is None] == [
        "every Kafka record up to bronze's last is in bronze"
    ]
    assert all(check.checked for check in report.checks if check.holds)
    assert report.layers == {"kafka": None, "bronze": 39, "silver": 39}
    assert report.snapshot == 3


@pytest.mark.parametrize(("inject", "named"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_and_said_how_to_mend(
    lake: HandmadeLake, verified: Verified, inject: Fault, named: str
) -> None:
    inject(lake)

    report = verified()

    assert not report.ok
    assert [fault for fault in faults_of(report) if named in fault], faults_of(report)
    assert all(check.hint for check in faulty(report))
    assert all(check.faults >= len(check.named) > 0 for check in faulty(report))


def test_a_log_that_was_cleaned_behind_a_checkpoint_is_whole(lake: HandmadeLake, verified: Verified) -> None:
    without_earlier_commits(lake)

    assert faults_of(verified()) == []


def test_a_version_that_a_retained_snapshot_names_must_be_there(lake: HandmadeLake, verified: Verified) -> None:
    without_earlier_commits(lake)
    promise(lake.settings, 1)

    report = verified()

    assert "gold.ip_activity begins at version 3, snapshot 1 names 1" in faults_of(report)


def test_files_of_retained_snapshots_must_be_there_and_older_ones_need_not(
    lake: HandmadeLake, verified: Verified
) -> None:
    former = sorted(set(DeltaTable(lake.uri(EVENTS), version=2).file_uris()) - set(lake.table(EVENTS).file_uris()))
    Path(former[0].removeprefix("file://")).unlink()

    assert any("is missing" in fault for fault in faults_of(verified()))
    promise(lake.settings, 3)
    assert verified().ok


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_earlier_snapshot_is_verified_as_it_was(verified: Verified, number: int) -> None:
    report = verified(snapshot=number)

    assert faults_of(report) == []
    assert report.snapshot == number
    assert report.layers == {"kafka": None, "bronze": 13 * number, "silver": 13 * number}


def test_what_went_wrong_after_a_snapshot_does_not_touch_it(lake: HandmadeLake, verified: Verified) -> None:
    silver_without("partition = 0 AND offset = 17")(lake)

    assert verified(snapshot=3).ok
    assert not verified(snapshot=4).ok


def test_rows_that_silver_has_not_read_yet_are_work_and_no_fault(lake: HandmadeLake, verified: Verified) -> None:
    lake.take([b"{}", b"{}"], partition=1)

    report = verified()

    assert report.ok
    assert report.unread == {"kafka": 0, "bronze": 2}


def test_a_lake_without_silver_and_gold_is_young_and_no_fault(tmp_path: Path, settings: Settings) -> None:
    young = settings.model_copy(update={"root": str(tmp_path / "young")})
    HandmadeLake(young).take([b"{}"], partition=0)

    report = verify(young, Store(young), wish=VerifyOptions())

    assert report.ok
    assert report.layers == {"kafka": None, "bronze": 1, "silver": 0}
    assert any("none yet" in name for check in report.checks for name in check.named)
