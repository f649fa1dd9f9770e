"""Refreshing a damaged lake: lost commits are computed again, or the job stops with the file and a hint."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from lakehouse.error_translation import translated_errors
from lakehouse.errors import LakeUnreadable
from lakehouse.lake import Lake
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.gold import DETECTIONS, RESTATEMENTS, SNAPSHOTS
from lakehouse.tables.metrics import PAIR_ACTIVITY
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from loginlake.pipeline import rebuild_gold, refresh
from tests.damage import COMMIT_DAMAGES, FILE_DAMAGES, Damage, commits, flip_username, garble_pointer, remove_checkpoint
from tests.spark_lakes import a_raw_login, append_batch, copied

pytestmark = pytest.mark.slow

FAILURES = {"outcome": "failure", "src_ip": "192.0.2.1", "event_at": "2026-02-01T10:00:00Z"}
LATER = [a_raw_login(20, **FAILURES), a_raw_login(21, event_id="e0-9")]


def rows(lake: Lake) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of silver and gold, without restatements: they also depend on the published rows that were lost.

    Spark reads them, because some of these lakes lack a checkpoint that other readers need.
    """
    tables = [table for table in SNAPSHOT_TABLES if table != RESTATEMENTS]
    return {table.full_name: lake.read(table).orderBy(*table.key).toArrow().to_pylist() for table in tables}


def checkpoint(lake: Lake, table: Table) -> None:
    none = lake.spark._jvm.scala.Option.empty()
    log = lake.spark._jvm.org.apache.spark.sql.delta.DeltaLog.forTable(lake.spark._jsparkSession, lake.uri(table))
    log.checkpoint(log.update(False, none, none), none)


@pytest.fixture(scope="module")
def built(spark: Any, created: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake of two snapshots with checkpoints at the first one."""
    lake = copied(spark, created, tmp_path_factory.mktemp("built"))
    append_batch(lake, [a_raw_login(offset, **FAILURES, username=f"u{offset}") for offset in range(8)])
    refresh(lake)
    for table in (EVENTS, PAIR_ACTIVITY, SNAPSHOTS):
        checkpoint(lake, table)
    append_batch(lake, [a_raw_login(9), a_raw_login(10, src_ip="198.51.100.1")], number=1)
    refresh(lake)
    return lake


@pytest.fixture
def lake(built: Lake, tmp_path: Path) -> Lake:
    """A copy of the lake in another folder."""
    return copied(built.spark, Path(built.settings.root), tmp_path)


@pytest.fixture(scope="module")
def expected(built: Lake, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """The rows of silver and gold after the next batch, without damage."""
    whole = copied(built.spark, Path(built.settings.root), tmp_path_factory.mktemp("expected"))
    append_batch(whole, LATER, number=2)
    refresh(whole)
    return rows(whole)


LOST = {
    "silver's last commit is removed": (EVENTS, COMMIT_DAMAGES["removed"]),
    "silver's last commit is empty": (EVENTS, COMMIT_DAMAGES["empty"]),
    "the base's last commit is removed": (PAIR_ACTIVITY, COMMIT_DAMAGES["removed"]),
    "the base's last commit is empty": (PAIR_ACTIVITY, COMMIT_DAMAGES["empty"]),
    "the last snapshot is removed": (SNAPSHOTS, COMMIT_DAMAGES["removed"]),
    "silver's checkpoint is removed": (EVENTS, remove_checkpoint),
    "the pointer to the base's checkpoint is garbage": (PAIR_ACTIVITY, garble_pointer),
}


@pytest.mark.parametrize(("table", "damage"), LOST.values(), ids=LOST.keys())
def test_the_next_refresh_computes_lost_commits_again(
    lake: Lake,
    expected: dict[str, list[dict[str, Any]]],
    table: Table,
    damage: Damage,
) -> None:
    damage(Path(lake.uri(table)))
    # The next batch comes before a job has noticed: silver may then reach the version that it had.
    append_batch(lake, LATER, number=2)

    with capture_logs() as logs:
        snapshot = refresh(lake)

    assert rows(lake) == expected
    assert snapshot is not None
    assert snapshot.versions == {table.full_name: lake.version(table) for table in SNAPSHOT_TABLES}
    lost = [log["tables"] for log in logs if log["event"] == "commits_lost"]
    assert lost == ([[table.full_name]] if damage in COMMIT_DAMAGES.values() and table != SNAPSHOTS else [])


DAMAGED = {
    "silver's last commit is garbage": (EVENTS, COMMIT_DAMAGES["garbage"], r"_delta_log/0+2\.json"),
    "the base's last commit is garbage": (PAIR_ACTIVITY, COMMIT_DAMAGES["garbage"], r"_delta_log/0+2\.json"),
    "the last snapshot is garbage": (SNAPSHOTS, COMMIT_DAMAGES["garbage"], r"_delta_log/0+2\.json"),
    "a file of silver is truncated": (EVENTS, FILE_DAMAGES["truncated"], r"events/verdict=accepted/.*\.parquet"),
    "a bit of a value in silver is flipped": (EVENTS, flip_username, r"events/verdict=accepted/.*\.parquet"),
}


@pytest.mark.parametrize(("table", "damage", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_unreadable_files_stop_the_refresh_with_the_file_and_a_hint(
    lake: Lake, table: Table, damage: Damage, message: str
) -> None:
    damage(Path(lake.uri(table)))
    append_batch(lake, LATER, number=2)

    with pytest.raises(LakeUnreadable, match=rf"{message}.*Restore it from a copy") as stopped, translated_errors():
        refresh(lake)

    assert "\n" not in str(stopped.value)


@pytest.mark.parametrize("table", [PAIR_ACTIVITY, DETECTIONS], ids=["the base", "detections"])
def test_a_rebuild_of_gold_replaces_files_that_are_lost(lake: Lake, table: Table) -> None:
    before = rows(lake)
    for file in Path(lake.uri(table)).rglob("*=*/*.parquet"):
        file.unlink()

    with capture_logs() as logs:
        snapshot = rebuild_gold(lake)

    assert snapshot is not None
    assert rows(lake) == before
    assert [log["table"] for log in logs if log["event"] == "table_damaged"] == [table.full_name]


def test_the_command_prints_one_line_without_a_traceback(lake: Lake, tmp_path: Path) -> None:
    COMMIT_DAMAGES["garbage"](Path(lake.uri(SNAPSHOTS)))
    environment = {"LOGINLAKE_ROOT": lake.settings.root, "LOGINLAKE_STATE": str(tmp_path / "state")}

    ended = subprocess.run(
        [sys.executable, "-m", "gold"],
        env=os.environ | environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    printed = [line for line in ended.stderr.splitlines() if "incubator modules" not in line]
    assert ended.returncode == 1
    assert len(printed) == 1, ended.stderr
    assert "gold/snapshots" in printed[0]


def test_a_log_whose_checkpoint_and_older_commits_are_gone_stops_the_refresh(lake: Lake) -> None:
    events = Path(lake.uri(EVENTS))
    remove_checkpoint(events)
    for commit in commits(events)[:2]:
        commit.unlink()

    with pytest.raises(LakeUnreadable, match=r"silver.events.*Restore it"), translated_errors():
        refresh(lake)
