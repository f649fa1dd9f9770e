from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import given, settings

from gold.rules.model import Contexts
from gold.rules.windows import CONTEXT_SPAN, overflows, sliding_counts, sliding_values, split

MINUTE = timedelta(minutes=1)
SECONDS = st.lists(st.integers(0, 600), max_size=30).map(sorted)
# The second and the value of each event of each context.
HISTORIES = st.lists(
    st.lists(st.tuples(st.integers(0, 600), st.sampled_from(["a", "b", "c", None])), max_size=30).map(
        lambda events: sorted(events, key=lambda event: event[0])
    ),
    max_size=4,
)


def contexts(*seconds: Sequence[float], times: int = 1) -> Contexts:
    """Return contexts with an event at each of the seconds."""
    rows = [
        (number, number * CONTEXT_SPAN + int(second * 1_000_000), times)
        for number, context in enumerate(seconds)
        for second in context
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(("context", "clock", "times"), pl.Int64), orient="row")


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
    assert overflows(contexts(seconds), capacity=2, leak_seconds=10).to_list() == expected


def test_an_event_fills_the_bucket_by_its_occurrences() -> None:
    assert overflows(contexts([0], times=3), capacity=2, leak_seconds=10).to_list() == [True]


def test_each_context_has_a_bucket_of_its_own() -> None:
    assert not overflows(contexts([600, 600], [0, 0]), capacity=2, leak_seconds=10).any()


def test_an_event_as_old_as_the_window_is_not_counted() -> None:
    assert sliding_counts(contexts([0, 59, 60]), window=MINUTE).to_list() == [1, 2, 2]


@settings(derandomize=True, deadline=None)
@given(SECONDS, SECONDS)
def test_sliding_counts_equal_counting_each_window_by_itself(one: list[int], other: list[int]) -> None:
    assert sliding_counts(contexts(one, other, times=2), window=MINUTE).to_list() == [
        sum(2 for earlier in seconds[: number + 1] if earlier > second - 60)
        for seconds in (one, other)
        for number, second in enumerate(seconds)
    ]


@settings(derandomize=True, deadline=None)
@given(HISTORIES, st.integers(1, 3), st.sampled_from([None, 1, 2, 4]))
def test_sliding_values_equal_counting_each_window_by_itself(
    histories: list[list[tuple[int, str | None]]], at_least: int, at_most: int | None
) -> None:
    events = contexts(*([second for second, _ in events] for events in histories)).with_columns(
        value=pl.Series([value for events in histories for _, value in events], dtype=pl.String)
    )
    expected = []
    for history in histories:
        for number, (second, _) in enumerate(history):
            window = [value for earlier, value in history[: number + 1] if earlier > second - 60]
            counts = Counter(value for value in window if value is not None).values()
            expected.append(sum(at_least <= count <= (at_most or count) for count in counts))

    found = sliding_values(events, pl.col("value"), window=MINUTE, at_least=at_least, at_most=at_most)

    assert found.to_list() == expected


def test_split_contexts_share_no_window() -> None:
    events = contexts([0, 1, 2, 3], [4, 5])
    parts = split(events, pl.Series([False, False, True, False, False, False]))

    assert sliding_counts(events, window=MINUTE).to_list() == [1, 2, 3, 4, 1, 2]
    assert sliding_counts(parts, window=MINUTE).to_list() == [1, 2, 1, 2, 1, 2]
