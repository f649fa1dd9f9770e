"""A live stream and its end, with a clock of our own."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event

from producer.pacing import paced, until_set
from producer.records import Record


def records_at(*instants: int) -> list[Record]:
    return [Record(None, None, [], None, at) for at in instants]


class Clock:
    """Goes on when someone waits for it."""

    def __init__(self) -> None:
        self.now = 100.0

    def read(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def test_each_record_comes_as_long_after_the_first_as_it_happened_after_the_start() -> None:
    clock = Clock()
    came = [
        (record.at, clock.now)
        for record in paced(records_at(5_000, 5_500, 9_000), start=5_000, clock=clock.read, wait=clock.wait)
    ]
    assert came == [(5_000, 100.0), (5_500, 100.5), (9_000, 104.0)]


def test_a_record_that_is_late_already_comes_at_once() -> None:
    clock = Clock()
    stream = paced(records_at(1_000, 2_000, 1_500), start=0, clock=clock.read, wait=clock.wait)
    assert [(next(stream).at, clock.now) for _ in range(3)] == [(1_000, 101.0), (2_000, 102.0), (1_500, 102.0)]


def test_no_record_is_taken_that_is_not_given_after_the_end_is_asked_for() -> None:
    stop, taken = Event(), []

    def stream() -> Iterator[Record]:
        for record in records_at(1, 2, 3):
            taken.append(record.at)
            yield record

    given = []
    for record in until_set(stop, stream()):
        given.append(record.at)
        if record.at == 2:
            stop.set()
    assert given == taken == [1, 2]


def test_a_stream_whose_end_was_asked_for_before_it_began_is_empty() -> None:
    stop = Event()
    stop.set()
    assert list(until_set(stop, records_at(1))) == []
