"""`loginlake maintain --dry-run`, which reads the Delta logs without Spark."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from lakehouse.fragments import FRAGMENTS
from lakehouse.settings import Settings
from lakehouse.tables.gold import SNAPSHOTS
from lakehouse.tables.silver import EVENTS
from loginlake.maintenance_plan import TableMaintenance, plan_maintenance
from tests.loginlake.command_line import Loginlake
from tests.serving.lakes import FIRST_PUBLISHED, SmallLake, a_login, settings_of


@pytest.fixture
def settings(empty_folder: Path) -> Settings:
    return Settings(root=str(empty_folder / "lake"), _env_file=None)


def append_files(settings: Settings, *, verdict: str, files: int) -> None:
    """Append to silver as many files as asked for, all in one partition."""
    day = pl.DataFrame({"verdict": [verdict], "event_on": [date(2026, 2, 1)], "offset": [1]})
    for _ in range(files):
        day.write_delta(
            settings.table_uri(EVENTS.layer, EVENTS.name),
            mode="append",
            delta_write_options={"partition_by": list(EVENTS.partition_by)},
        )


def test_only_partitions_with_enough_small_files_are_planned(settings: Settings) -> None:
    append_files(settings, verdict="accepted", files=FRAGMENTS)
    append_files(settings, verdict="broken", files=FRAGMENTS - 1)

    (events,) = plan_maintenance(settings)

    folder = Path(settings.table_uri(EVENTS.layer, EVENTS.name))
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    assert events == TableMaintenance(EVENTS.full_name, small_files=FRAGMENTS, bytes_before=size, bytes_after=None)


def test_a_table_without_partitions_is_planned_as_a_whole(settings: Settings) -> None:
    for number in range(FRAGMENTS):
        pl.DataFrame({"id": [number]}).write_delta(settings.table_uri(SNAPSHOTS.layer, SNAPSHOTS.name), mode="append")

    assert [(table.table, table.small_files) for table in plan_maintenance(settings)] == [
        (SNAPSHOTS.full_name, FRAGMENTS)
    ]


def test_a_dry_run_needs_no_spark(loginlake: Loginlake, settings: Settings) -> None:
    append_files(settings, verdict="accepted", files=1)

    ended = loginlake("maintain", "--dry-run", "--json", "--root", settings.root)

    assert [(table["table"], table["small_files"]) for table in json.loads(ended.stdout)] == [(EVENTS.full_name, 0)]


def test_a_dry_run_with_nothing_to_do_says_so(loginlake: Loginlake, tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    SmallLake(settings).publish([a_login(0)], [])

    ended = loginlake("maintain", "--dry-run", "--root", settings.root)

    assert ended.returncode == 0
    (line,) = ended.stdout.splitlines()
    assert line.startswith("Nothing to do: no small files")


def test_a_dry_run_names_what_would_be_compacted_and_which_snapshots_would_expire(
    loginlake: Loginlake, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path)
    lake = SmallLake(settings)
    for number in range(FRAGMENTS):
        lake.publish([a_login(number)], [], at=FIRST_PUBLISHED + timedelta(minutes=number))

    printed = loginlake("maintain", "--dry-run", "--root", settings.root, "--retention-days", "0").stdout

    assert any(line.split()[:2] == ["gold.snapshots", str(FRAGMENTS)] for line in printed.splitlines())
    assert f"Snapshots 1 to {FRAGMENTS - 1} would expire" in printed
    assert "silver.events" not in printed
