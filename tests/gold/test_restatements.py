"""Restatements: the published figures of closed windows that a snapshot changes, from what to what, and why."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from gold.changes import ChangeSummary
from gold.job import refresh_gold
from gold.publish import last_snapshot
from gold.restatements import tables_to_compare
from lakehouse.lake import Lake, struct_type
from lakehouse.snapshots import Snapshot
from lakehouse.tables.gold import RESTATEMENTS, SNAPSHOTS
from lakehouse.tables.metrics import IP_ACTIVITY, PAIR_ACTIVITY, STORED_METRICS
from lakehouse.tables.silver import EVENTS
from loginlake.pipeline import rebuild_silver, redrive, refresh
from tests.gold.builders import LAST, some_changes
from tests.spark_lakes import FIRST_LOGIN, a_raw_login, append_batch, copied, rows_of

BASE = PAIR_ACTIVITY.full_name
ALL = [BASE, *(metric.table.full_name for metric in STORED_METRICS)]
# In a lake whose last event is FIRST_LOGIN, at noon of 1 February, that hour and that day are open; this is not.
LONG_AGO = "2026-01-12T05:06:07Z"


def restated(lake: Lake, table: str) -> list[tuple[int, datetime, Any, Any, str, list[str]]]:
    """Return snapshot, window, old attempts, new attempts, cause and offsets of the restatements of a table."""
    return [
        (
            row["snapshot_id"],
            row["window_at"],
            row["old_values"] and json.loads(row["old_values"]).get("attempts"),
            row["new_values"] and json.loads(row["new_values"]).get("attempts"),
            row["cause"],
            json.loads(row["offsets"]),
        )
        for row in rows_of(lake, RESTATEMENTS)
        if row["table_name"] == table
    ]


def at(day: int, hour: int = 0, month: int = 2) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("first", "compared"),
    [
        (at(1, 12), []),
        (at(1, 11).replace(minute=59), [BASE]),
        (at(1), [BASE]),
        (at(31, 23, month=1), ALL),
        (None, []),
    ],
    ids=["an open hour", "a closed hour", "an open day", "a closed day", "no event"],
)
def test_tables_are_compared_if_an_event_is_in_one_of_their_closed_windows(
    first: datetime | None, compared: list[str]
) -> None:
    changes = some_changes(summary=ChangeSummary(first_event_at=first))

    assert [each.name for each in tables_to_compare(changes)] == compared


def test_after_a_rebuild_all_published_tables_that_can_be_read_are_compared() -> None:
    versions = {name: version for name, version in LAST.versions.items() if name != "gold.ip_activity"}
    changes = some_changes(last=replace(LAST, versions=versions), is_rebuild=True, unreadable=[BASE])

    others = [metric.table.full_name for metric in STORED_METRICS if metric.name != "ip_activity"]
    assert [each.name for each in tables_to_compare(changes)] == others


@pytest.mark.parametrize("last", [None, replace(LAST, last_event_at=None)], ids=["no snapshot", "no events"])
@pytest.mark.parametrize("is_rebuild", [True, False])
def test_nothing_is_compared_without_a_snapshot_that_has_events(last: Snapshot | None, is_rebuild: bool) -> None:
    changes = some_changes(last=last, summary=ChangeSummary(first_event_at=at(1)), is_rebuild=is_rebuild)

    assert tables_to_compare(changes) == []


def test_only_figures_of_closed_windows_are_restated(lake: Lake) -> None:
    append_batch(lake, [FIRST_LOGIN, a_raw_login(1, event_at="2026-02-01T10:10:00Z", username="ada")])
    refresh(lake)
    in_the_open_hour = a_raw_login(2, event_at="2026-02-01T12:00:01Z")
    late = [
        a_raw_login(3, event_at="2026-02-01T10:50:00.000007Z", username="ada"),
        a_raw_login(4, event_at=LONG_AGO, username="ada", src_ip="192.0.2.1"),
        a_raw_login(5, event_at=LONG_AGO, username="ada", src_ip="192.0.2.1"),
    ]
    append_batch(lake, [in_the_open_hour, *late], number=1)
    snapshot = refresh(lake)

    assert snapshot is not None
    assert snapshot.versions[RESTATEMENTS.full_name] == lake.version(RESTATEMENTS)
    assert restated(lake, BASE) == [
        (2, at(12, 5, month=1), None, 2, "late", ["logs:0:4-5"]),
        (2, at(1, 10), 1, 2, "late", ["logs:0:3-3"]),
    ]
    for metric in STORED_METRICS:
        assert restated(lake, metric.table.full_name) == [
            (2, at(12, month=1), None, 2, "late", ["logs:0:4-5"]),
        ]
    (hour_of_ada,) = (row for row in rows_of(lake, RESTATEMENTS) if row["window_at"] == at(1, 10))
    assert json.loads(hour_of_ada["key"]) == {"app": None, "username": "ada", "src_ip": None}
    assert json.loads(hour_of_ada["old_values"]) == {
        "attempts": 1,
        "successes": 1,
        "last_at": "2026-02-01T10:10:00.000000Z",
        "last_success_at": "2026-02-01T10:10:00.000000Z",
    }
    assert json.loads(hour_of_ada["new_values"])["last_at"] == "2026-02-01T10:50:00.000007Z"


@pytest.fixture(scope="module")
def refused(spark: SparkSession, created: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a lake whose second login of two is broken, because it was too old when it was read."""
    lake = copied(spark, created, tmp_path_factory.mktemp("refused"), max_event_age_days=1)
    append_batch(lake, [FIRST_LOGIN, a_raw_login(1, event_at=LONG_AGO)])
    refresh(lake)
    return Path(lake.settings.root)


@pytest.fixture
def refused_lake(spark: SparkSession, refused: Path, tmp_path: Path) -> Lake:
    """A copy of it, whose settings accept a login of that age."""
    return copied(spark, refused, tmp_path)


def test_a_redriven_event_is_mended_and_a_deleted_event_is_erased(refused_lake: Lake) -> None:
    lake = refused_lake

    redrive(lake)
    lake.spark.sql(f"DELETE FROM delta.`{lake.uri(EVENTS)}` WHERE offset = 1")
    refresh_gold(lake)

    assert restated(lake, IP_ACTIVITY.table.full_name) == [
        (2, at(12, month=1), None, 1, "mended", ["logs:0:1-1"]),
        (3, at(12, month=1), 1, None, "erased", ["logs:0:1-1"]),
    ]


def append_restatement(lake: Lake, snapshot_id: int) -> None:
    """Append a restatement as a refresh does that is killed before it publishes the snapshot."""
    row = dict.fromkeys(RESTATEMENTS.column_names) | {
        "snapshot_id": snapshot_id,
        "table_name": BASE,
        "key": "{}",
        "window_at": at(1),
    }
    lake.append(RESTATEMENTS, lake.spark.createDataFrame([row], struct_type(RESTATEMENTS)))


def test_restatements_of_a_killed_refresh_are_deleted_by_the_next_one(refreshed_lake: Lake) -> None:
    lake = refreshed_lake
    append_restatement(lake, 2)
    append_batch(lake, [a_raw_login(1, event_at=LONG_AGO)], number=1)
    refresh(lake)
    published = rows_of(lake, RESTATEMENTS)
    assert {row["snapshot_id"] for row in published} == {2}
    assert {row["window_at"].date() for row in published} == {at(12, month=1).date()}

    append_restatement(lake, 3)
    assert refresh_gold(lake) is not None
    assert rows_of(lake, RESTATEMENTS) == published


def test_a_rebuild_records_what_it_changed(refused_lake: Lake) -> None:
    lake = refused_lake
    append_batch(lake, [a_raw_login(2, event_at="2026-02-01T10:00:00Z")], number=1)

    rebuild_silver(lake)

    assert restated(lake, BASE) == [
        (2, at(12, 5, month=1), None, 1, "mended", []),
        (2, at(1, 10), None, 1, "late", ["logs:0:2-2"]),
    ]
    assert last_snapshot(lake).versions[RESTATEMENTS.full_name] == lake.version(RESTATEMENTS)


def test_a_lake_of_a_release_without_restatements_is_refreshed(refreshed_lake: Lake) -> None:
    lake, snapshot = refreshed_lake, last_snapshot(refreshed_lake)
    assert snapshot is not None
    lake.spark.sql(
        f"UPDATE delta.`{lake.uri(SNAPSHOTS)}` SET versions = "
        f"'{json.dumps({name: v for name, v in snapshot.versions.items() if name != RESTATEMENTS.full_name})}'"
    )

    append_batch(lake, [a_raw_login(1, event_at=LONG_AGO)], number=1)
    assert refresh(lake) is not None
    assert [row[:2] for row in restated(lake, BASE)] == [(2, at(12, 5, month=1))]
