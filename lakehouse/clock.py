"""The clock, a parameter of jobs and readers, so that a test can set the time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the current instant, UTC."""
    return datetime.now(UTC)


def instant_text(instant: datetime) -> str:
    """Return an instant as messages print it, such as 2026-01-31T08:00:00Z: a `+00:00` would not survive in a URL."""
    return f"{instant.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"
