"""What the next snapshot names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from gold.changes import ChangeSummary
from gold.publish import next_snapshot
from lakehouse.lake import Lake
from lakehouse.progress import SilverProgress
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.model import Table
from tests.gold.builders import LAST, OFFSETS, some_changes

LATER = LAST.at + timedelta(hours=1)


@dataclass
class FakeLake:
    """A lake with all tables at one version."""

    newest: int = 6

    def version(self, table: Table) -> int:
        assert table in SNAPSHOT_TABLES
        return self.newest


LAKE = cast("Lake", FakeLake())


def test_the_next_snapshot_names_the_newest_versions_and_the_offsets_of_silver() -> None:
    changes = some_changes(progress=SilverProgress({("logs", 0): 20}, None))

    snapshot = next_snapshot(LAKE, changes, clock=lambda: LATER)

    assert (snapshot.id, snapshot.at) == (LAST.id + 1, LATER)
    assert snapshot.versions == {table.full_name: 6 for table in SNAPSHOT_TABLES}
    assert snapshot.offsets == {("logs", 0): 20}


def test_the_first_snapshot_has_id_one() -> None:
    assert next_snapshot(LAKE, some_changes(last=None), clock=lambda: LATER).id == 1


def test_a_snapshot_is_later_than_the_last_one_even_if_the_clock_was_set_back() -> None:
    snapshot = next_snapshot(LAKE, some_changes(), clock=lambda: LAST.at - timedelta(days=1))

    assert snapshot.at == LAST.at + timedelta(microseconds=1)


def test_late_events_do_not_set_the_last_event_and_append_times_back() -> None:
    last_event_at, last_append_at = cast("datetime", LAST.last_event_at), cast("datetime", LAST.last_append_at)
    summary = ChangeSummary(
        last_event_at=last_event_at - timedelta(days=1), last_append_at=last_append_at + timedelta(days=1)
    )

    snapshot = next_snapshot(LAKE, some_changes(summary=summary), clock=lambda: LATER)

    assert snapshot.last_event_at == LAST.last_event_at
    assert snapshot.last_append_at == summary.last_append_at


def test_enrichment_versions_are_kept_where_silver_read_nothing_new() -> None:
    redriven, read = some_changes(), some_changes(progress=SilverProgress(OFFSETS, None, {"iptocc": "3.4"}))

    assert next_snapshot(LAKE, redriven, clock=lambda: LATER).enrichment == LAST.enrichment
    assert next_snapshot(LAKE, read, clock=lambda: LATER).enrichment == {"iptocc": "3.4"}
