"""A stream held to the clock, until someone asks for its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from threading import Event

from producer.events import SECOND
from producer.records import Record


def paced(
    records: Iterable[Record], *, start: int, clock: Callable[[], float], wait: Callable[[float], object]
) -> Iterator[Record]:
    """Each record as long after the first look at the clock as its instant lies after the start.

    Args:
        records: By their instants.
        start: Milliseconds since 1970.
        clock: Seconds since any moment.
        wait: Sleeps for so many seconds at most.
    """
    began = clock()
    for record in records:
        early = (record.at - start) / SECOND - (clock() - began)
        if early > 0:
            wait(early)
        yield record


def until_set(stop: Event, records: Iterable[Record]) -> Iterator[Record]:
    """The records, until the end is asked for; none is taken that is not given."""
    if stop.is_set():
        return
    for record in records:
        yield record
        if stop.is_set():
            return
