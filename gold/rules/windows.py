"""Building blocks of rules over events ordered by time: leaky bucket, sliding count, chains."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from gold.rules.model import Event


def overflows(events: Iterable[Event], *, capacity: int, leak_seconds: float) -> Iterator[bool]:
    """Yield for each event whether it overflows a leaky bucket; an overflow empties the bucket.

    Args:
        events: Ordered by time.
        capacity: Occurrences that the bucket holds.
        leak_seconds: The bucket drains one occurrence in this time.
    """
    level = 0.0
    last: datetime | None = None
    for event in events:
        drained = (event.at - last).total_seconds() / leak_seconds if last else 0.0
        level, last = max(0.0, level - drained) + event.times, event.at
        yield level > capacity
        if level > capacity:
            level = 0.0


def sliding_counts(events: Iterable[Event], *, window: timedelta) -> Iterator[int]:
    """Yield for each event the occurrences in the window that ends with it.

    Args:
        events: Ordered by time.
        window: Its length; an event exactly that long ago is outside.
    """
    recent: deque[Event] = deque()
    count = 0
    for event in events:
        recent.append(event)
        count += event.times
        while recent[0].at <= event.at - window:
            count -= recent.popleft().times
        yield count


def chains(events: Iterable[Event], *, gap: timedelta) -> Iterator[list[Event]]:
    """Yield runs of events in which each event is less than `gap` after the one before.

    Args:
        events: Ordered by time.
        gap: Two neighbours at least this far apart belong to two chains.
    """
    chain: list[Event] = []
    for event in events:
        if chain and event.at - chain[-1].at >= gap:
            yield chain
            chain = []
        chain.append(event)
    if chain:
        yield chain
