"""Kafka positions by name: consecutive offsets of a partition are one range."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import polars as pl

from lakehouse.errors import UsageError

POSITION = ["topic", "partition", "offset"]
WRITTEN = re.compile(
    r"(?P<topic>[A-Za-z0-9._-]{1,249}):(?P<partition>\d{1,9}):(?P<first>\d{1,18})(-(?P<last>\d{1,18}))?"
)


class Range(NamedTuple):
    """Offsets `[first, last]` of a partition."""

    topic: str
    partition: int
    first: int
    last: int

    def __str__(self) -> str:
        """`topic:partition:first-last`, or `topic:partition:offset` for a single one."""
        start = f"{self.topic}:{self.partition}:{self.first}"
        return start if self.first == self.last else f"{start}-{self.last}"

    @property
    def offsets(self) -> int:
        """How many offsets it spans."""
        return self.last - self.first + 1

    def without(self, others: Iterable[Range]) -> Iterator[Range]:
        """The parts of it that none of the others covers."""
        first = self.first
        for other in sorted(other for other in others if other[:2] == self[:2]):
            if other.last < first or other.first > self.last:
                continue
            if first < other.first:
                yield self._replace(first=first, last=other.first - 1)
            first = max(first, other.last + 1)
        if first <= self.last:
            yield self._replace(first=first)


def range_from_text(text: str) -> Range:
    """The range that `TOPIC:PARTITION:FROM-TO` names.

    Raises:
        UsageError: It names none.
    """
    written = WRITTEN.fullmatch(text)
    if written is None:
        raise UsageError(f"{text!r} names no range of offsets", hint="Write it like logs:0:17-42, as verify names it")
    first = int(written["first"])
    last = int(written["last"] or first)
    if last < first:
        raise UsageError(f"{text!r} ends before it begins", hint="Write it like logs:0:17-42, as verify names it")
    return Range(written["topic"], int(written["partition"]), first, last)


def ranges_of(positions: pl.DataFrame) -> list[Range]:
    """The positions as ranges, in order; one that stands more than once counts once."""
    at = ["topic", "partition"]
    # Within a run of consecutive offsets, offset minus rank stays the same.
    run = (pl.col("offset") - pl.col("offset").rank("dense").cast(pl.Int64)).over(at).alias("run")
    runs = positions.select(POSITION).unique().with_columns(run)
    spans = runs.group_by(*at, "run").agg(first=pl.col("offset").min(), last=pl.col("offset").max())
    rows = spans.select(pl.col("topic").cast(pl.String), "partition", "first", "last").sort(*at, "first").iter_rows()
    return [Range(*row) for row in rows]


def named_ranges(positions: pl.DataFrame, fault: str) -> list[str]:
    """The positions by name, each range with the fault."""
    return [f"{span} {fault}" for span in ranges_of(positions)]
