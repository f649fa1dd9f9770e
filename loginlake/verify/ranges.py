"""Kafka positions, and ranges of consecutive offsets as `verify` prints and reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import polars as pl

from lakehouse.errors import UsageError
from lakehouse.tables.bronze import POSITION
from lakehouse.tables.silver import EVENTS
from serving.delta_tables import declared_schema

POSITION_SCHEMA = {name: declared_schema(EVENTS)[name] for name in POSITION}
PATTERN = re.compile(
    r"(?P<topic>[A-Za-z0-9._-]{1,249}):(?P<partition>\d{1,9}):(?P<first>\d{1,18})(-(?P<last>\d{1,18}))?"
)
EXAMPLE = "Write it like logs:0:17-42, as verify prints it"


class Range(NamedTuple):
    """The offsets `[first, last]` of a partition."""

    topic: str
    partition: int
    first: int
    last: int

    def __str__(self) -> str:
        """Return `topic:partition:first-last`, or `topic:partition:offset` for a single offset."""
        start = f"{self.topic}:{self.partition}:{self.first}"
        return start if self.first == self.last else f"{start}-{self.last}"

    @property
    def offsets(self) -> int:
        """The number of offsets in the range."""
        return self.last - self.first + 1

    def without(self, others: Iterable[Range]) -> Iterator[Range]:
        """Yield the parts that no other range covers."""
        first = self.first
        for other in sorted(other for other in others if other[:2] == self[:2]):
            if other.last < first or other.first > self.last:
                continue
            if first < other.first:
                yield self._replace(first=first, last=other.first - 1)
            first = max(first, other.last + 1)
        if first <= self.last:
            yield self._replace(first=first)


def without(ranges: Iterable[Range], others: Sequence[Range]) -> list[Range]:
    """Return the parts of the ranges that no other range covers."""
    return [part for each in ranges for part in each.without(others)]


def range_from_text(text: str) -> Range:
    """Return the range written as `TOPIC:PARTITION:FROM-TO`.

    Raises:
        UsageError: The text is not a range.
    """
    match = PATTERN.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not a range of offsets", hint=EXAMPLE)
    first = int(match["first"])
    last = int(match["last"] or first)
    if last < first:
        raise UsageError(f"The range {text!r} ends before it begins", hint=EXAMPLE)
    return Range(match["topic"], int(match["partition"]), first, last)


def ranges_of(positions: pl.DataFrame) -> list[Range]:
    """Return the positions as sorted ranges; a repeated position counts once."""
    at = ["topic", "partition"]
    # Within a run of consecutive offsets, offset minus rank stays the same.
    run = (pl.col("offset") - pl.col("offset").rank("dense").cast(pl.Int64)).over(at).alias("run")
    runs = positions.select(POSITION).unique().with_columns(run)
    spans = runs.group_by(*at, "run").agg(first=pl.col("offset").min(), last=pl.col("offset").max())
    rows = spans.select(pl.col("topic").cast(pl.String), "partition", "first", "last").sort(*at, "first").iter_rows()
    return [Range(*row) for row in rows]


def describe_ranges(positions: pl.DataFrame, fault: str) -> list[str]:
    """Return one line per range of the positions: the range, then the fault."""
    return [f"{each} {fault}" for each in ranges_of(positions)]
