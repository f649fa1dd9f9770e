"""Sliding windows, and chains of hits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from tests.gold.rules.builders import Event


def windows(events: Sequence[Event], rule: Any) -> Iterator[tuple[int, list[Event]]]:
    """Yield the number of each event and the events of the window that ends with it."""
    window = timedelta(minutes=rule.window_minutes)
    for number, last in enumerate(events):
        yield number, [event for event in events[: number + 1] if last.at - event.at < window]


def chains(hits: Iterable[tuple[int, datetime]], gap: timedelta) -> Iterator[list[int]]:
    """Group hits that are less than a gap apart."""
    chain: list[int] = []
    last: datetime | None = None
    for number, at in hits:
        if last is not None and at - last >= gap:
            yield chain
            chain = []
        chain.append(number)
        last = at
    if chain:
        yield chain
