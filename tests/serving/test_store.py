"""What readers see of a lake, and of a damaged one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from lakehouse.clock import instant_text
from lakehouse.errors import LakeUnreadable, SnapshotExpired, SnapshotMissing, TableMissing
from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import DETECTIONS, SNAPSHOTS
from lakehouse.tables.metrics import IP_ACTIVITY, PAIR_ACTIVITY
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from serving.diff import count_changes, row_changes
from serving.queries import (
    MetricQuery,
    TableQuery,
    detection_with_id,
    metric_rows_at_snapshot,
    rows_at_snapshot,
    rows_at_version,
)
from serving.selection import ALWAYS, Selection
from serving.sql import sql_answer
from serving.store import Store, collected
from tests.serving.lakes import FIRST_PUBLISHED, SmallLake, a_detection, a_login

# A thread of Arrow has the name of the program; those of delta-rs and polars have names of their own.
COUNT_THREADS = """
import sys, time
from pathlib import Path
from deltalake import DeltaTable
from lakehouse.tables.gold import SNAPSHOTS
from serving.integrity import checked_rows, file_names

def threads():
    names = [task.read_text() for task in Path("/proc/self/task").glob("*/comm")]
    return names.count(Path("/proc/self/comm").read_text())

handle = DeltaTable(sys.argv[1])
before = threads()
rows = len(checked_rows(SNAPSHOTS, handle, names=file_names(SNAPSHOTS, handle)))
# A thread of delta-rs has the name of the process until it has named itself; one that stays so is another's.
deadline = time.monotonic() + 5
while threads() > before and time.monotonic() < deadline:
    time.sleep(0.05)
print(rows, threads() - before)
"""


def hour(number: int) -> Any:
    return FIRST_PUBLISHED + timedelta(hours=number)


def test_a_lake_without_a_snapshot_is_an_error_with_a_hint_to_publish_one(settings: Settings) -> None:
    with pytest.raises(SnapshotMissing, match="loginlake refresh"):
        Store(settings).snapshot()


def test_reading_creates_no_folder(settings: Settings) -> None:
    assert Store(settings).snapshots() == ()
    assert not Path(settings.root).exists()


def test_reading_publications_starts_no_thread_that_could_outlive_python(published: Settings) -> None:
    snapshots = published.table_uri(SNAPSHOTS.layer, SNAPSHOTS.name)

    printed = subprocess.check_output([sys.executable, "-c", COUNT_THREADS, snapshots], text=True)

    assert printed == f"{len(Store(published).snapshots())} 0\n"


def test_a_snapshot_that_expires_is_refused_also_by_a_store_that_is_open(settings: Settings, lake: SmallLake) -> None:
    store = Store(settings)
    first = lake.publish([a_login(0)], [])
    second = lake.publish([a_login(1)], [], hour(1))
    assert store.snapshot(snapshot_id=1) == first

    lake.retain_from(2)

    assert store.snapshot() == second
    assert store.retained(store.snapshots()) == (second,)
    for params in ({"snapshot_id": 1}, {"as_of": FIRST_PUBLISHED}):
        with pytest.raises(SnapshotExpired, match="The only retained snapshot is 2, of"):
            store.snapshot(**params)


IP_ACTIVITY_BY_DAY = MetricQuery(IP_ACTIVITY, "day", ALWAYS, Selection())
# Every way to read version 0 of silver.events, the version of snapshot 1.
READ_EXPIRED: dict[str, Callable[[Store, Snapshot], Any]] = {
    "snapshot by id": lambda store, _first: store.snapshot(snapshot_id=1),
    "snapshot by instant": lambda store, _first: store.snapshot(as_of=FIRST_PUBLISHED),
    "version": lambda store, _first: rows_at_version(TableQuery(EVENTS, Selection(), ALWAYS), store, version=0),
    "rows": lambda store, first: rows_at_snapshot(TableQuery(EVENTS, Selection(), ALWAYS), store, snapshot=first),
    "metric": lambda store, first: metric_rows_at_snapshot(IP_ACTIVITY_BY_DAY, store, snapshot=first),
    "SQL": lambda store, first: sql_answer("select * from events", store, snapshot=first),
    "detection": lambda store, first: detection_with_id("d1", store, snapshot=first),
    "differing rows": lambda store, first: row_changes(EVENTS, store, before=first, after=store.snapshot()),
    "differing counts": lambda store, first: count_changes(EVENTS, store, before=first, after=store.snapshot()),
}


@pytest.mark.parametrize("with_commits", [False, True], ids=["files deleted", "files and commits deleted"])
def test_an_expired_snapshot_has_one_error_however_it_is_read(
    settings: Settings, lake: SmallLake, with_commits: bool
) -> None:
    first = lake.publish([a_login(0)], [a_detection("d1")])
    lake.publish([a_login(1)], [], hour(1))
    lake.retain_from(2)
    for table in (EVENTS, PAIR_ACTIVITY, IP_ACTIVITY.table, DETECTIONS):
        delete_old_files(settings, table, with_commits=with_commits)

    found = {}
    for way, read in READ_EXPIRED.items():
        with pytest.raises(SnapshotExpired) as expired:
            read(Store(settings), first)
        found[way] = (expired.value.what.partition(" is ")[2], expired.value.hint, expired.value.parts["oldest"])

    expected = ("no longer retained", f"The only retained snapshot is 2, of {instant_text(hour(1))}", 2)
    assert found == dict.fromkeys(READ_EXPIRED, expected)


def delete_old_files(settings: Settings, table: Table, *, with_commits: bool) -> None:
    """Delete the files, and on request the commits, that the last version of a table does not need."""
    handle = DeltaTable(settings.table_uri(table.layer, table.name))
    handle.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    if with_commits:
        handle.create_checkpoint()
        for commit in (Path(settings.table_uri(table.layer, table.name)) / "_delta_log").glob("*.json"):
            if int(commit.stem) < handle.version():
                commit.unlink()


def test_a_file_that_a_retained_snapshot_needs_is_damage(settings: Settings, lake: SmallLake) -> None:
    first = lake.publish([a_login(0)], [])
    lake.publish([a_login(1)], [], hour(1))
    delete_old_files(settings, EVENTS, with_commits=False)

    with pytest.raises(LakeUnreadable, match=r"silver\.events can't be read"):
        READ_EXPIRED["rows"](Store(settings), first)


def test_a_file_that_is_missing_before_anything_is_published_is_damage(settings: Settings, lake: SmallLake) -> None:
    lake.publish([a_login(0)], [])
    lake.publish([a_login(1)], [], hour(1))
    shutil.rmtree(settings.table_uri(SNAPSHOTS.layer, SNAPSHOTS.name))
    delete_old_files(settings, EVENTS, with_commits=False)

    with pytest.raises(LakeUnreadable, match=r"silver\.events can't be read"):
        READ_EXPIRED["version"](Store(settings), None)


def test_a_new_snapshot_is_seen_and_the_earlier_one_still_has_the_same_rows(
    settings: Settings, lake: SmallLake
) -> None:
    store = Store(settings)
    first = lake.publish([a_login(0)], [])
    before = collected(store.rows(EVENTS, first), EVENTS)

    second = lake.publish([a_login(1)], [], hour(1))

    assert store.snapshots() == (first, second)
    assert collected(store.rows(EVENTS, first), EVENTS).equals(before)
    assert collected(store.rows(EVENTS, second), EVENTS).height == 2


def test_a_publication_is_read_without_the_files_of_earlier_ones(settings: Settings, lake: SmallLake) -> None:
    store = Store(settings)
    first = lake.publish([a_login(0)], [])
    assert store.snapshots() == (first,)
    (file,) = Path(settings.table_uri("gold", "snapshots")).glob("*.parquet")
    file.write_bytes(b"")

    second = lake.publish([a_login(1)], [], hour(1))

    assert store.snapshots() == (first, second)
    with pytest.raises(LakeUnreadable, match=r"gold\.snapshots"):
        Store(settings).snapshots()


def test_compacted_publications_are_the_same_and_the_next_one_is_added(settings: Settings, lake: SmallLake) -> None:
    store = Store(settings)
    published = (lake.publish([a_login(0)], []), lake.publish([a_login(1)], [], hour(1)))
    assert store.snapshots() == published

    DeltaTable(settings.table_uri("gold", "snapshots")).optimize.compact()

    assert store.snapshots() == Store(settings).snapshots() == published
    third = lake.publish([a_login(2)], [], hour(2))
    assert store.snapshots() == Store(settings).snapshots() == (*published, third)


def test_publications_that_did_not_change_are_the_same_object(published: Settings) -> None:
    store = Store(published)

    assert store.published() is store.published()


def test_history_numbers_commits_correctly_while_another_is_made(
    settings: Settings, lake: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.publish([a_login(0)], [])
    history = DeltaTable.history

    def slow_history(handle: DeltaTable, limit: int) -> list[dict[str, object]]:
        if handle.version() == 0:
            lake.publish([a_login(1)], [], hour(1))
        return history(handle, limit)

    monkeypatch.setattr(DeltaTable, "history", slow_history)
    commits = Store(settings).history(EVENTS, limit=5)

    assert [commit.version for commit in commits] == [1, 0]


def test_bronze_at_a_snapshot_has_no_later_row(published: Settings) -> None:
    store = Store(published)

    offsets = collected(store.rows(RAW_LOGS, store.snapshot(snapshot_id=1)), RAW_LOGS)["offset"]

    assert sorted(offsets) == [0, 1, 2]


@pytest.mark.parametrize("version", [-1, 2, 2**63 - 1])
def test_an_unknown_version_is_refused_at_once(published: Settings, version: int) -> None:
    with pytest.raises(TableMissing, match="from 0 to 1"):
        Store(published).rows_at_version(EVENTS, version)


def test_a_snapshot_that_names_a_version_beyond_all_commits_is_an_error_at_once(
    settings: Settings, lake: SmallLake
) -> None:
    snapshot = lake.publish([a_login(0)], [])
    beyond = replace(snapshot, versions={EVENTS.full_name: 2**62})

    with pytest.raises(LakeUnreadable, match=r"silver\.events has lost its commit"):
        Store(settings).rows(EVENTS, beyond)


def test_the_last_snapshot_is_retained_even_if_retention_starts_after_it(settings: Settings, lake: SmallLake) -> None:
    last = lake.publish([a_login(0)], [])

    lake.retain_from(99)

    assert Store(settings).snapshot() == last


def test_a_start_of_retention_that_is_not_a_number_is_an_error(settings: Settings, lake: SmallLake) -> None:
    lake.publish([a_login(0)], [])

    lake.retain_from("soon")

    with pytest.raises(LakeUnreadable, match="'soon' as the id of the oldest retained snapshot"):
        Store(settings).snapshot()


@pytest.mark.parametrize("damage", [lambda file: file.write_bytes(file.read_bytes()[:-20]), Path.unlink])
def test_a_damaged_data_file_is_an_error_that_names_the_table(
    settings: Settings, lake: SmallLake, damage: Callable[[Path], object]
) -> None:
    snapshot = lake.publish([a_login(0)], [])
    table = IP_ACTIVITY.table
    (file,) = Path(settings.table_uri(table.layer, table.name)).rglob("*.parquet")
    damage(file)

    with pytest.raises(LakeUnreadable, match=r"gold\.ip_activity.*loginlake verify"):
        collected(Store(settings).rows(table, snapshot), table)


def test_a_malformed_log_is_an_error_that_names_the_table(settings: Settings, lake: SmallLake) -> None:
    lake.publish([a_login(0)], [])
    log = Path(settings.table_uri("gold", "snapshots")) / "_delta_log" / "00000000000000000000.json"
    log.write_text("garbage{")

    with pytest.raises(LakeUnreadable, match=r"gold\.snapshots"):
        Store(settings).snapshots()
