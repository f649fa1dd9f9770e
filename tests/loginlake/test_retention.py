"""Which snapshots can be queried, and which keep their files; without a lake."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot
from loginlake.retention import retained_snapshots

NOON = datetime(2026, 2, 3, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def a_snapshot(number: int) -> Snapshot:
    """A snapshot published on day `number`."""
    return Snapshot(
        id=number, at=NOON + number * DAY, versions={}, offsets={},
        last_event_at=None, last_append_at=None, enrichment={},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("retention_days", "retention_grace_days", "queryable", "with_files"),
    [(0, 0, 5, 5), (1, 0, 4, 4), (1, 2, 4, 2), (2, 30, 3, 1), (30, 7, 1, 1)],
)
def test_retention_and_grace_period_select_the_snapshots(
    retention_days: int, retention_grace_days: int, queryable: int, with_files: int
) -> None:
    settings = Settings(retention_days=retention_days, retention_grace_days=retention_grace_days, _env_file=None)

    retained = retained_snapshots([a_snapshot(day) for day in range(1, 6)], settings, now=NOON + 5 * DAY)

    assert (retained.oldest_queryable.id, retained.oldest_with_files.id, retained.last.id) == (queryable, with_files, 5)
