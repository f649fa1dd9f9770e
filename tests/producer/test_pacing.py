"""A live stream in real time, with a fake clock."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event

from producer.pacing import paced, until_set
from producer.records import Record


def records_at(*instants: int) -> list[Record]:
    return [Record(None, None, [], None, at) for at in instants]


class Clock:
    """A clock that advances only while someone waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def read(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def test_each_record_is_sent_as_long_after_the_first_clock_reading_as_its_instant_is_after_the_start() -> None:
    clock = Clock()
    sent = [
        (record.at, clock.now)
        for record in paced(records_at(5_000, 5_500, 9_000), start=5_000, clock=clock.read, wait=clock.wait)
    ]
    assert sent == [(5_000, 100.0), (5_500, 100.5), (9_000, 104.0)]


def test_a_record_that_is_overdue_is_sent_at_once() -> None:
    clock = Clock()
    stream = paced(records_at(1_000, 2_000, 1_500), start=0, clock=clock.read, wait=clock.wait)
    assert [(next(stream).at, clock.now) for _ in range(3)] == [(1_000, 101.0), (2_000, 102.0), (1_500, 102.0)]


def test_no_record_is_taken_without_being_sent_after_stop_is_set() -> None:
    stop, taken = Event(), []

    def stream() -> Iterator[Record]:
        for record in records_at(1, 2, 3):
            taken.append(record.at)
            yield record

    sent = []
    for record in until_set(stop, stream()):
        sent.append(record.at)
        if record.at == 2:
            stop.set()
    assert sent == taken == [1, 2]


def test_a_stream_is_empty_if_stop_was_set_before_it_began() -> None:
    stop = Event()
    stop.set()
    assert list(until_set(stop, records_at(1))) == []
