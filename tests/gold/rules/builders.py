"""Events for tests of rules."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st

from gold.rules.brute_force_ip import BruteForceIp
from gold.rules.model import Event

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
RULE = BruteForceIp(
    version=1, capacity=5, leak_seconds=10, signals=20, window_minutes=60, severity="high", technique="T1110"
)


def events_at(seconds: Iterable[float], *, start: datetime = NOON, times: int = 1) -> list[Event]:
    """Return an event at each of the seconds after `start`, each with a user of its own."""
    return [
        Event(start + timedelta(seconds=second), times, f"u{number}", ("logs", 0, number))
        for number, second in enumerate(seconds)
    ]


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Signals of one address, in bursts at a few instants of six days, so that attacks cross midnight."""
    minutes = st.integers(0, 6 * 24 * 60) | st.builds(
        lambda day, near: day * 1440 + near, st.integers(1, 5), st.integers(-130, 130)
    )
    starts = draw(st.lists(minutes, max_size=12))
    times = [
        (start * 60 + draw(st.integers(0, 90)), draw(st.sampled_from([1, 1, 1, 7])))
        for start in starts
        for _ in range(4)
    ]
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    return [
        Event(
            begin + timedelta(seconds=second),
            count,
            f"u{number % 3}",
            ("logs", 0, number),
            draw(st.sampled_from(["login", "probe"])),
        )
        for number, (second, count) in enumerate(sorted(times))
    ]
