"""Consecutive offsets form ranges, and ranges are parsed from text."""

from __future__ import annotations

import polars as pl
import pytest

from lakehouse.errors import UsageError
from loginlake.verify.ranges import POSITION_SCHEMA, Range, range_from_text, ranges_of


def positions(*rows: tuple[str, int, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=POSITION_SCHEMA, orient="row")


def test_consecutive_offsets_of_a_partition_are_one_range() -> None:
    rows = [("logs", 1, 18), ("logs", 0, 3), ("logs", 1, 17), ("logs", 1, 17), ("logs", 1, 20), ("a", 1, 19)]

    assert [str(span) for span in ranges_of(positions(*rows))] == ["a:1:19", "logs:0:3", "logs:1:17-18", "logs:1:20"]


def test_no_positions_are_no_ranges() -> None:
    assert ranges_of(positions()) == []


@pytest.mark.parametrize("text", ["logs:0:17", "logs:0:17-42", "a.b-c_d:12:0-0"])
def test_a_range_is_parsed_from_its_text(text: str) -> None:
    assert str(range_from_text(text)) == text.replace("0-0", "0")


@pytest.mark.parametrize("text", ["", "logs", "logs:0", "logs:0:", "logs:0:9-3", "logs:x:1-2", "logs:0:-1", "a b:0:1"])
def test_text_that_is_not_a_range_is_an_error_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="logs:0:17-42"):
        range_from_text(text)


@pytest.mark.parametrize(
    ("others", "left"),
    [
        ([], ["logs:0:5-9"]),
        ([(0, 4), (10, 12)], ["logs:0:5-9"]),
        ([(0, 6)], ["logs:0:7-9"]),
        ([(6, 7)], ["logs:0:5", "logs:0:8-9"]),
        ([(9, 20), (5, 5)], ["logs:0:6-8"]),
        ([(7, 20), (0, 7)], []),
    ],
)
def test_a_range_without_others(others: list[tuple[int, int]], left: list[str]) -> None:
    rest = Range("logs", 0, 5, 9).without([*(Range("logs", 0, *span) for span in others), Range("logs", 1, 0, 99)])

    assert [str(span) for span in rest] == left
