"""Rebuilding silver and gold: the same rows as after the refreshes, in one commit per table and one snapshot."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pyspark.sql import SparkSession

from lakehouse.errors import LockHeld
from lakehouse.lake import Lake
from lakehouse.locks import writer_lock
from lakehouse.progress import SilverProgress, note_from_json, summarize_events
from lakehouse.snapshots import Snapshot
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.gold import RESTATEMENTS
from lakehouse.tables.metrics import PAIR_ACTIVITY
from lakehouse.tables.silver import EVENTS
from loginlake.pipeline import rebuild_gold, rebuild_silver, refresh
from silver.rebuild import rewrite_events
from tests.spark_lakes import a_raw, a_raw_login, append_batch, copied, faults_of_recomputation, rows_of

# Tables that are computed from bronze alone; restatements record what each snapshot changed.
COMPUTED = [table for table in SNAPSHOT_TABLES if table != RESTATEMENTS]


class Built(NamedTuple):
    """A lake, its last snapshot, and the rows of its tables."""

    lake: Lake
    snapshot: Snapshot
    rows: dict[str, list[dict[str, Any]]]


def a_failure(offset: int) -> dict[str, Any]:
    """One of the failures that a rule detects together."""
    return a_raw_login(offset, event_at="2026-02-01T10:00:00Z", outcome="failure", src_ip="198.51.100.1")


def batches(seed: int) -> list[list[dict[str, Any]]]:
    """Three batches of two partitions: a burst, broken rows, and copies with other bodies in other batches."""
    chance = random.Random(seed)
    batches = []
    for number in range(3):
        batch = [
            a_raw_login(
                100 * number + row,
                partition=row % 2,
                event_id=f"e{chance.randrange(12)}",
                event_at=f"2026-02-0{chance.choice((1, 2))}T00:{chance.randrange(3):02}:00Z",
                outcome=chance.choice(("success", "failure", "failure", "failure")),
                username=f"u{number}",
                src_ip=chance.choice(("192.0.2.1", "192.0.2.1", "2001:db8::1", None)),
            )
            for row in range(9)
        ]
        batch += [a_failure(offset) for offset in range(100 * number + 10, 100 * number + 17)]
        batch.append(a_raw(100 * number + 9, value=b"?"))
        chance.shuffle(batch)
        batches.append(batch)
    return batches


def computed_rows(lake: Lake, snapshot: Snapshot | None = None) -> dict[str, list[dict[str, Any]]]:
    """The rows of silver and gold, now or at a snapshot."""
    if snapshot is None:
        return {table.full_name: rows_of(lake, table) for table in COMPUTED}
    return {
        table.full_name: lake.read(table, version=snapshot.versions[table.full_name])
        .orderBy(*table.key)
        .toArrow()
        .to_pylist()
        for table in COMPUTED
    }


def refreshed_each(lake: Lake, batches: list[list[dict[str, Any]]]) -> Snapshot:
    """The snapshot of a lake that was refreshed after each batch."""
    for number, batch in enumerate(batches):
        append_batch(lake, batch, number=number)
        snapshot = refresh(lake)
    assert snapshot is not None
    return snapshot


@pytest.fixture(scope="module")
def built(spark: SparkSession, created: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A lake that was refreshed after each of the first two batches."""
    lake = copied(spark, created, tmp_path_factory.mktemp("built"))
    snapshot = refreshed_each(lake, batches(1)[:2])
    return Built(lake, snapshot, computed_rows(lake))


@pytest.fixture
def built_lake(built: Built, tmp_path: Path) -> Lake:
    """A copy of it."""
    return copied(built.lake.spark, Path(built.lake.settings.root), tmp_path)


def test_rebuilding_silver_writes_the_rows_of_the_refreshes_in_one_commit_per_table(
    built: Built, built_lake: Lake
) -> None:
    lake, before, expected = built_lake, built.snapshot, built.rows

    snapshot = rebuild_silver(lake)

    assert snapshot is not None
    assert computed_rows(lake) == expected
    assert {row["verdict"] for row in expected[EVENTS.full_name]} == {"accepted", "duplicate", "broken"}
    assert (snapshot.id, snapshot.offsets, snapshot.now) == (before.id + 1, before.offsets, before.now)
    assert {name: snapshot.versions[name] - before.versions[name] for name in expected} == dict.fromkeys(expected, 1)
    assert computed_rows(lake, before) == expected
    note = note_from_json(lake.user_metadata(EVENTS))
    assert note is not None
    assert isinstance(note.silver_progress, SilverProgress)
    assert note.silver_progress.offsets == summarize_events(lake.read(EVENTS)).progress.offsets
    assert refresh(lake) is None


def test_a_refresh_completes_a_rebuild_that_was_killed_after_silver(built_lake: Lake) -> None:
    lake = built_lake
    append_batch(lake, batches(1)[2], number=2)
    rewrite_events(lake)

    assert refresh(lake) is not None
    assert faults_of_recomputation(lake) == []


def test_a_refresh_completes_a_rebuild_that_was_killed_after_one_gold_table(built: Built, built_lake: Lake) -> None:
    # The kill left one table of the new code beside tables of the old one.
    built_lake.overwrite(PAIR_ACTIVITY, built_lake.read(PAIR_ACTIVITY).limit(1))

    assert refresh(built_lake) is not None
    assert computed_rows(built_lake) == built.rows


def test_rebuilding_gold_does_not_write_silver(built: Built, built_lake: Lake) -> None:
    snapshot = rebuild_gold(built_lake)

    assert snapshot is not None
    assert snapshot.id == built.snapshot.id + 1
    assert snapshot.versions[EVENTS.full_name] == built.snapshot.versions[EVENTS.full_name]
    assert computed_rows(built_lake) == built.rows


def test_rebuilding_an_empty_lake_publishes_nothing(lake: Lake) -> None:
    assert rebuild_silver(lake) is None


def test_a_rebuild_during_a_refresh_is_refused(lake: Lake) -> None:
    with writer_lock(lake, "refresh"), pytest.raises(LockHeld, match="lock of refresh"):
        rebuild_gold(lake)
