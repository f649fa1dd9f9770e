from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import polars as pl
import pytest

from serving.formats import csv, json_rows

ROWS = pl.DataFrame(
    {
        "n": [2**53, 2**53 + 1, -(2**63), None],
        "rate": [0.5, float("nan"), float("inf"), None],
        "at": [datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 2, 1, 2, 3, 4, tzinfo=UTC), None, None],
    }
)


def test_json_has_text_for_integers_that_no_double_represents_and_null_for_numbers_that_are_not_finite() -> None:
    decoded = msgspec.json.decode(msgspec.json.encode(json_rows(ROWS)))

    assert [row["n"] for row in decoded] == [2**53, str(2**53 + 1), str(-(2**63)), None]
    assert [row["rate"] for row in decoded] == [0.5, None, None, None]
    assert [row["at"] for row in decoded] == ["2026-03-02T00:00:00Z", "2026-03-02T01:02:03.000004Z", None, None]


def test_json_has_text_for_the_smallest_integer() -> None:
    assert json_rows(pl.DataFrame({"n": [-(2**63)]})) == [{"n": str(-(2**63))}]


def test_an_instant_out_of_the_calendar_is_the_same_text_in_json_and_csv() -> None:
    rows = pl.DataFrame({"at": [1_772_000_000_000_000_000, 0]}).cast({"at": pl.Datetime("us", "UTC")})

    assert [row["at"] for row in json_rows(rows)] == csv(rows).decode().splitlines()[1:]
    assert json_rows(rows)[0]["at"].startswith("+58122-")


def test_csv_has_all_integers_and_nothing_for_numbers_that_are_not_finite() -> None:
    assert csv(ROWS).decode().splitlines() == [
        "n,rate,at",
        f"{2**53},0.5,2026-03-02T00:00:00Z",
        f"{2**53 + 1},,2026-03-02T01:02:03.000004Z",
        f"{-(2**63)},,",
        ",,",
    ]


@pytest.mark.parametrize("name", ["=cmd()", "a,b", 'a"b', "<script>", "\r\n", "\u202e", "\x1b[31m"])
def test_csv_has_any_text_unchanged(name: str) -> None:
    import csv as reader
    import io

    written = csv(pl.DataFrame({"username": [name]})).decode()

    assert list(reader.reader(io.StringIO(written, newline=""))) == [["username"], [name]]
