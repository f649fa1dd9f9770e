"""A published snapshot, and the changes since then, for decisions that need no Spark."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gold.changes import Changes, ChangeSummary
from lakehouse.progress import SilverProgress
from lakehouse.snapshots import Snapshot
from lakehouse.tables import SNAPSHOT_TABLES

OFFSETS = {("logs", 0): 12}
# The hour from noon and 1 February are open at this snapshot; all hours and days before are closed.
LAST = Snapshot(
    id=3,
    at=datetime(2026, 2, 3, tzinfo=UTC),
    versions={table.full_name: 5 for table in SNAPSHOT_TABLES},
    offsets=OFFSETS,
    last_event_at=datetime(2026, 2, 1, 12, 30, tzinfo=UTC),
    last_append_at=datetime(2026, 2, 2, tzinfo=UTC),
    enrichment={"iptocc": "3.3"},
)


def some_changes(**values: Any) -> Changes:
    """Return changes since `LAST` without rows."""
    no_rows: Any = None
    fields = {
        "last": LAST,
        "progress": SilverProgress(OFFSETS, None),
        "events": no_rows,
        "feed": no_rows,
        "summary": ChangeSummary(),
        "is_rebuild": False,
    }
    return Changes(**fields | values)
