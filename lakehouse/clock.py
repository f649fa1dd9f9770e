"""The clock, a parameter of jobs and readers, so that a test can set the time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the current instant, UTC."""
    return datetime.now(UTC)
