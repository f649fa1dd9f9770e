"""Send a live stream in real time, until it is asked to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from threading import Event

from producer.events import SECOND
from producer.records import Record


def paced(
    records: Iterable[Record], *, start: int, clock: Callable[[], float], wait: Callable[[float], object]
) -> Iterator[Record]:
    """Yield each record when it is due, so that the records' instants pass as fast as the clock.

    Args:
        records: Records in order of their instants.
        start: The instant of the first clock reading, milliseconds since 1970.
        clock: Returns seconds since a fixed point.
        wait: Sleeps for at most a number of seconds.
    """
    began = clock()
    for record in records:
        early = (record.at - start) / SECOND - (clock() - began)
        if early > 0:
            wait(early)
        yield record


def until_set(stop: Event, records: Iterable[Record]) -> Iterator[Record]:
    """Yield the records until `stop` is set; never take a record from the input without yielding it."""
    if stop.is_set():
        return
    for record in records:
        yield record
        if stop.is_set():
            return
