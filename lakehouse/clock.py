"""The clock, as a parameter: jobs and readers are told what time it is, so that a test can say it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Now, UTC."""
    return datetime.now(UTC)
