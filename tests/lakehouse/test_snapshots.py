"""Snapshots: their rows, their instants, and which one answers a question."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lakehouse.errors import InFuture, LakeUnreadable, SnapshotExpired, SnapshotMissing
from lakehouse.snapshots import (
    Row,
    Snapshot,
    next_instant,
    oldest_needed,
    resolve_snapshot,
    snapshot_from_metadata,
    snapshot_from_row,
)
from lakehouse.tables.gold import SNAPSHOTS

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def a_snapshot(snapshot_id: int = 1, **values: Any) -> Snapshot:
    given: dict[str, Any] = {
        "id": snapshot_id,
        "at": NOON + snapshot_id * HOUR,
        "versions": {"silver.events": snapshot_id},
        "offsets": {("logs", 0): 10 * snapshot_id},
        "last_event_at": NOON,
        "last_append_at": NOON,
        "enrichment": {"iptocc": "1"},
    }
    return Snapshot(**given | values)


def resolved(*, retained_from: int = 1, **selection: Any) -> int:
    published = [a_snapshot(3), a_snapshot(4), a_snapshot(5)]
    return resolve_snapshot(published, retained_from=retained_from, clock=NOON + 9 * HOUR, **selection).id


@pytest.mark.parametrize("values", [{}, {"last_event_at": None, "last_append_at": None, "offsets": {}}])
def test_a_snapshot_is_read_as_it_was_written(values: dict[str, Any]) -> None:
    snapshot = a_snapshot(**values)

    assert snapshot_from_row(snapshot.row()) == snapshot
    assert snapshot_from_metadata(snapshot.user_metadata()) == snapshot


@pytest.mark.parametrize(
    "values",
    [
        {"offsets": '{"logs":{"0":80,b1":42}}'},
        {"offsets": '{"logs":{"q":80}}'},
        {"versions": '{"silver.events": "1"}'},
        {"versions": None},
        {"id": None},
        {"at": None},
        {"at": datetime(2026, 3, 2, 12)},  # noqa: DTZ001 (an instant without a zone)
    ],
)
def test_a_damaged_row_is_an_error_that_names_the_table(values: dict[str, Any]) -> None:
    with pytest.raises(LakeUnreadable, match=r"gold\.snapshots"):
        snapshot_from_row(a_snapshot().row() | values)


def test_a_row_has_the_columns_of_the_table() -> None:
    assert tuple(a_snapshot().row()) == SNAPSHOTS.column_names
    assert Row.__struct_fields__ == SNAPSHOTS.column_names


@pytest.mark.parametrize("text", [None, "{}", "compacted by hand", '{"snapshot": 1}'])
def test_another_text_is_not_the_note_of_a_snapshot(text: str | None) -> None:
    assert snapshot_from_metadata(text) is None


def test_the_commit_notes_the_row_as_json() -> None:
    row = json.loads(a_snapshot().user_metadata())["snapshot"]

    assert row["at"] == "2026-03-02T13:00:00+00:00"
    assert json.loads(row["offsets"]) == {"logs": {"0": 10}}
    assert json.loads(row["versions"]) == {"silver.events": 1}


@pytest.mark.parametrize(
    ("event_at", "append_at", "now"),
    [(NOON, NOON + HOUR, NOON), (NOON + HOUR, NOON, NOON), (None, NOON, None), (NOON, None, None)],
)
def test_now_is_the_last_event_but_not_after_the_last_append(
    event_at: datetime | None, append_at: datetime | None, now: datetime | None
) -> None:
    assert a_snapshot(last_event_at=event_at, last_append_at=append_at).now == now


def test_the_first_instant_is_that_of_the_clock() -> None:
    assert next_instant(None, clock=NOON) == NOON


@pytest.mark.parametrize("clock", [NOON, NOON + HOUR])
def test_an_instant_is_always_after_the_one_before(clock: datetime) -> None:
    assert next_instant(a_snapshot(1), clock=clock) == NOON + HOUR + timedelta(microseconds=1)


def test_an_instant_follows_the_clock_if_that_is_later() -> None:
    assert next_instant(a_snapshot(1), clock=NOON + 2 * HOUR) == NOON + 2 * HOUR


def test_without_a_request_the_last_snapshot_is_returned() -> None:
    assert resolved() == 5


def test_a_snapshot_is_found_by_its_id() -> None:
    assert resolved(snapshot_id=4) == 4


@pytest.mark.parametrize(("hours", "expected"), [(3, 3), (3.5, 3), (4, 4), (8, 5)])
def test_the_last_snapshot_at_or_before_an_instant_is_found(hours: float, expected: int) -> None:
    assert resolved(as_of=NOON + hours * HOUR) == expected


@pytest.mark.parametrize("snapshot_id", [0, 2, 6])
def test_an_unknown_id_is_an_error_with_the_range_of_ids(snapshot_id: int) -> None:
    with pytest.raises(SnapshotMissing, match="Ask for a snapshot from 3 to 5"):
        resolved(snapshot_id=snapshot_id)


def test_an_instant_before_the_first_snapshot_is_an_error_with_that_snapshot() -> None:
    with pytest.raises(SnapshotMissing, match=r"from 3 to 5; 3 is of 2026-03-02T15:00:00Z"):
        resolved(as_of=NOON)


def test_an_instant_in_the_future_is_an_error() -> None:
    with pytest.raises(InFuture, match="is in the future"):
        resolved(as_of=NOON + 10 * HOUR)


def test_an_only_snapshot_is_named_without_a_range() -> None:
    with pytest.raises(SnapshotMissing, match=r"The only retained snapshot is 5, of 2026-03-02T17:00:00Z"):
        resolved(retained_from=5, snapshot_id=9)


def test_before_the_first_snapshot_the_hint_is_to_refresh() -> None:
    with pytest.raises(SnapshotMissing, match="loginlake refresh"):
        resolve_snapshot([], retained_from=1, clock=NOON)


@pytest.mark.parametrize("selection", [{"snapshot_id": 3}, {"as_of": NOON + 3 * HOUR}])
def test_a_snapshot_that_is_no_longer_retained_has_expired(selection: dict[str, Any]) -> None:
    with pytest.raises(
        SnapshotExpired, match=r"Snapshot 3, .* is no longer retained. Ask for a snapshot from 4 to 5"
    ) as expired:
        resolved(retained_from=4, **selection)

    assert expired.value.parts["oldest"] == 4


@pytest.mark.parametrize("selection", [{"snapshot_id": 99}, {"as_of": NOON}])
def test_the_hint_names_the_oldest_retained_snapshot(selection: dict[str, Any]) -> None:
    with pytest.raises(SnapshotMissing) as missing:
        resolved(retained_from=4, **selection)

    assert missing.value.parts["oldest"] == 4


@pytest.mark.parametrize(("hours", "oldest"), [(0, 3), (3, 3), (3.5, 3), (4, 4), (9, 5)])
def test_a_snapshot_is_needed_until_the_next_one_is_older_than_the_retention(hours: float, oldest: int) -> None:
    published = [a_snapshot(3), a_snapshot(4), a_snapshot(5)]

    assert oldest_needed(published, since=NOON + hours * HOUR).id == oldest
