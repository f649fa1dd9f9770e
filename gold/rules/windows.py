"""Building blocks of rules over events ordered by time: leaky buckets, sliding counts and tallies, chains."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta

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


def distinct_overflows(
    events: Iterable[Event], *, capacity: int, leak_seconds: float, value: Callable[[Event], object]
) -> Iterator[bool]:
    """Yield for each event whether it overflows a leaky bucket of distinct values; an overflow empties the bucket.

    A value that is in the bucket is not added again. An empty bucket forgets all values.

    Args:
        events: Ordered by time.
        capacity: Values that the bucket holds.
        leak_seconds: The bucket drains one value in this time.
        value: Returns the value of an event.
    """
    level = 0.0
    last: datetime | None = None
    inside: set[object] = set()
    for event in events:
        level = max(0.0, level - ((event.at - last).total_seconds() / leak_seconds if last else 0.0))
        last = event.at
        if level == 0.0:
            inside.clear()
        if (new := value(event)) not in inside:
            inside.add(new)
            level += 1
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


class Tally:
    """How often each value occurs in a sliding window. Null is not a value.

    Attributes:
        occurrences: Occurrences of all values.
        first_at: Time of the first event in the window, whatever its value.
        values_by_count: How many values occur this often.
    """

    def __init__(self) -> None:
        self.occurrences = 0
        self.first_at = datetime.min.replace(tzinfo=UTC)
        self.values_by_count: Counter[int] = Counter()
        self._counts: dict[object, int] = {}

    def __len__(self) -> int:
        """Return the number of distinct values."""
        return len(self._counts)

    @property
    def most(self) -> int:
        """Occurrences of the most frequent value."""
        return max(self.values_by_count, default=0)

    def add(self, value: object, times: int) -> None:
        """Add occurrences of a value, or remove them if `times` is negative."""
        if value is None:
            return
        before = self._counts.pop(value, 0)
        after = before + times
        self.occurrences += times
        if before:
            self.values_by_count[before] -= 1
            if not self.values_by_count[before]:
                del self.values_by_count[before]
        if after:
            self._counts[value] = after
            self.values_by_count[after] += 1


def sliding_tallies(events: Iterable[Event], *, window: timedelta, value: Callable[[Event], object]) -> Iterator[Tally]:
    """Yield for each event the tally of the window that ends with it: always the same object, updated.

    Args:
        events: Ordered by time.
        window: Its length; an event exactly that long ago is outside.
        value: Returns the value of an event.
    """
    recent: deque[Event] = deque()
    tally = Tally()
    for event in events:
        recent.append(event)
        tally.add(value(event), event.times)
        while recent[0].at <= event.at - window:
            gone = recent.popleft()
            tally.add(value(gone), -gone.times)
        tally.first_at = recent[0].at
        yield tally


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
