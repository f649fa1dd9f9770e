from __future__ import annotations

from datetime import timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from gold.rules.windows import chains, overflows, sliding_counts
from tests.gold.rules.builders import NOON, events_at

MINUTE = timedelta(minutes=1)
SECONDS = st.lists(st.integers(0, 600), max_size=30).map(sorted)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([0, 0, 0], [False, False, True]),
        ([0, 0, 10], [False, False, False]),
        ([0, 0, 9.9], [False, False, True]),
        ([0, 0, 0, 0, 0, 0], [False, False, True, False, False, True]),
    ],
    ids=["one more than the capacity", "drained in time", "not yet drained", "emptied by an overflow"],
)
def test_a_leaky_bucket_overflows_with_one_more_than_its_capacity(seconds: list[float], expected: list[bool]) -> None:
    assert list(overflows(events_at(seconds), capacity=2, leak_seconds=10)) == expected


def test_an_event_fills_the_bucket_by_its_occurrences() -> None:
    assert list(overflows(events_at([0], times=3), capacity=2, leak_seconds=10)) == [True]


def test_an_event_as_old_as_the_window_is_not_counted() -> None:
    assert list(sliding_counts(events_at([0, 59, 60]), window=MINUTE)) == [1, 2, 2]


@settings(derandomize=True, deadline=None)
@given(SECONDS)
def test_sliding_counts_equal_counting_each_window_by_itself(seconds: list[int]) -> None:
    events = events_at(seconds, times=2)

    assert list(sliding_counts(events, window=MINUTE)) == [
        sum(other.times for other in events[: number + 1] if other.at > event.at - MINUTE)
        for number, event in enumerate(events)
    ]


def test_events_a_gap_apart_are_in_two_chains() -> None:
    times = [[event.at for event in chain] for chain in chains(events_at([0, 59, 119]), gap=MINUTE)]

    assert times == [[NOON, NOON + 59 * timedelta(seconds=1)], [NOON + 119 * timedelta(seconds=1)]]


@settings(derandomize=True, deadline=None)
@given(SECONDS)
def test_chains_hold_every_event_once_and_in_order(seconds: list[int]) -> None:
    events = events_at(seconds)

    assert [event for chain in chains(events, gap=MINUTE) for event in chain] == events
