"""A stream held to the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from producer.events import SECOND
from producer.records import Record


def paced(records: Iterable[Record], *, clock: Callable[[], float], wait: Callable[[float], None]) -> Iterator[Record]:
    """Each record once its instant has come, so that event times are the clock's.

    Args:
        records: By their instants.
        clock: Seconds since 1970.
        wait: Sleeps for so many seconds at most.
    """
    for record in records:
        early = record.at / SECOND - clock()
        if early > 0:
            wait(early)
        yield record
