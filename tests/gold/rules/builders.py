"""Events for tests of rules."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from gold.rules.brute_force_ip import BruteForceIp
from gold.rules.model import Event

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
RULE = BruteForceIp(
    version=1, capacity=5, leak_seconds=10, failures=20, window_minutes=60, severity="high", technique="T1110"
)


def events_at(seconds: Iterable[float], *, start: datetime = NOON, times: int = 1) -> list[Event]:
    """Return an event at each of the seconds after `start`, each with a user of its own."""
    return [
        Event(start + timedelta(seconds=second), times, f"u{number}", ("logs", 0, number))
        for number, second in enumerate(seconds)
    ]
