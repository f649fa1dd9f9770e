"""Building blocks of rules: sliding counts and leaky buckets over the events of many contexts at once.

A context is what a rule sees when one day is evaluated for one entity. A frame of contexts (`Contexts`) has the events
of one context after another, each in the order of time. Its column `clock` ascends through the whole frame: the number
of the context and the microseconds of the event in it, as one integer. Contexts are so far apart on this clock that no
window reaches from one into another.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from gold.rules.model import Contexts

MICROSECOND = timedelta(microseconds=1)
# Three days of a context, and more than the longest window (a day) on both sides. 64 bits hold 21 million
# contexts: three million entities on the days of a slice.
CONTEXT_SPAN = timedelta(days=5) // MICROSECOND


def sliding_counts(events: Contexts, *, window: timedelta, of: str = "times") -> pl.Series:
    """Return for each event the sum of a column over the window that ends with the event.

    Args:
        events: Events of many contexts.
        window: Its length; an event exactly that long ago is outside.
        of: The column; by default, the occurrences of the events.
    """
    sums = events[of].cum_sum()
    return sums - (sums - events[of]).gather(window_starts(events, window=window))


def sliding_values(
    events: Contexts, value: pl.Expr, *, window: timedelta, at_least: int = 1, at_most: int | None = None
) -> pl.Series:
    """Return for each event how many distinct values occur often enough, and not too often, in the window.

    Args:
        events: Events of many contexts.
        value: The value of an event; null is not a value.
        window: Its length; an event exactly that long ago is outside.
        at_least: Occurrences of a value in the window, at least 1.
        at_most: Occurrences of a value in the window, at most.
    """
    entered = events.select("context", "times", value=value.cast(pl.String)).with_row_index("row").drop_nulls("value")
    # The row at which the event has left the window.
    ends = events["clock"].search_sorted(events["clock"] + window // MICROSECOND, side="left")
    left = entered.with_columns(row=ends.gather(entered["row"]), times=-pl.col("times"))
    level = pl.col("times").cum_sum()
    # Whatever enters leaves, so that sums through the frame begin at zero for each value of each context.
    is_counted = (level >= at_least) & (level <= at_most if at_most is not None else pl.lit(value=True))
    changes = (
        pl.concat([entered, left])
        .lazy()
        .group_by("context", "value", "row")
        .agg(pl.col("times").sum())
        .sort("context", "value", "row")
        .select("row", change=is_counted.cast(pl.Int64).diff().fill_null(is_counted.cast(pl.Int64)))
        .group_by("row")
        .agg(pl.col("change").sum())
        .collect()
    )
    by_row = pl.zeros(len(events) + 1, dtype=pl.Int64, eager=True).scatter(changes["row"], changes["change"])
    return by_row.cum_sum().head(len(events))


def window_starts(events: Contexts, *, window: timedelta) -> pl.Series:
    """Return for each event the number of the first row in the window that ends with the event."""
    return events["clock"].search_sorted(events["clock"] - window // MICROSECOND, side="right")


def overflows(events: Contexts, *, capacity: int, leak_seconds: float) -> pl.Series:
    """Return for each event whether it overflows the leaky bucket of its context; an overflow empties the bucket.

    Args:
        events: Events of many contexts.
        capacity: Occurrences that the bucket holds.
        leak_seconds: The bucket drains one occurrence in this time.
    """
    level, last, of_context = 0.0, 0, -1
    is_overflow = []
    for context, clock, times in events.select("context", "clock", "times").iter_rows():
        if context != of_context:
            of_context, level, last = context, 0.0, clock
        level, last = max(0.0, level - (clock - last) / 1_000_000 / leak_seconds) + times, clock
        is_overflow.append(level > capacity)
        if level > capacity:
            level = 0.0
    return pl.Series(is_overflow, dtype=pl.Boolean)


def distinct_overflows(events: Contexts, column: str, *, capacity: int, leak_seconds: float) -> pl.Series:
    """Return for each event whether it overflows a leaky bucket of distinct values; an overflow empties the bucket.

    A value that is in the bucket is not added again. An empty bucket forgets all values.

    Args:
        events: Events of many contexts.
        column: The column of the values.
        capacity: Values that the bucket holds.
        leak_seconds: The bucket drains one value in this time.
    """
    level, last, of_context = 0.0, 0, -1
    inside: set[object] = set()
    is_overflow = []
    for context, clock, value in events.select("context", "clock", column).iter_rows():
        if context != of_context:
            of_context, level, last = context, 0.0, clock
        level, last = max(0.0, level - (clock - last) / 1_000_000 / leak_seconds), clock
        if level == 0.0:
            inside.clear()
        if value not in inside:
            inside.add(value)
            level += 1
        is_overflow.append(level > capacity)
        if level > capacity:
            level = 0.0
    return pl.Series(is_overflow, dtype=pl.Boolean)


def regrouped(events: Contexts, column: str) -> Contexts:
    """Return the events with a context of its own for each value of a column in a context.

    The column `row` has the number of the row of each event before: see `at_rows`.
    """
    in_order = events.with_row_index("row").sort("context", column, "clock", maintain_order=True)
    return split(in_order, in_order[column].ne_missing(in_order[column].shift(1)))


def crowded(events: Contexts, *, window: timedelta, at_least: int) -> Contexts:
    """Return the events of the contexts in which a window has so many occurrences: the others need no closer look."""
    full = events["context"].filter(sliding_counts(events, window=window) >= at_least)
    return events.filter(pl.col("context").is_in(full.unique().implode()))


def split(events: Contexts, starts: pl.Series) -> Contexts:
    """Return the events with a context of its own from each event at which `starts` is true."""
    begins = starts | (events["context"] != events["context"].shift(1)).fill_null(value=True)
    contexts = begins.cast(pl.Int64).cum_sum()
    return events.with_columns(context=contexts, clock=contexts * CONTEXT_SPAN + events["clock"] % CONTEXT_SPAN)


def at_rows(rows: pl.Series, *, of: Contexts) -> pl.Series:
    """Return for each event of a frame whether the number of its row is among the given ones."""
    return pl.repeat(False, len(of), eager=True).scatter(rows, True)
