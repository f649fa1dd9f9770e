"""The text of SQL statements: words, reads, instants and ends."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lakehouse.errors import BadQuery
from serving.statement import check_reads_only, ends_statement, with_instant, words_of

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
INSTANT = "('2026-03-02T12:00:00+00:00'::timestamptz)"


@pytest.mark.parametrize(
    "statement",
    ["select 1", "(SELECT 1)", "-- why\nselect 1", "/* why */ with a as (select 1) select 1", "show tables", "from a"],
)
def test_a_read_is_allowed(statement: str) -> None:
    check_reads_only(statement)


@pytest.mark.parametrize("statement", ["", "delete from a", "'select'", "explain explain drop table a", "/* select"])
def test_any_other_statement_is_refused_with_a_hint(statement: str) -> None:
    with pytest.raises(BadQuery, match="write a SELECT"):
        check_reads_only(statement)


@pytest.mark.parametrize("statement", ["show tabels", "show", "SHOW COLUMNS FROM events"])
def test_a_show_of_anything_but_tables_is_refused_with_what_to_use(statement: str) -> None:
    with pytest.raises(BadQuery, match=f"{statement.upper()} is not known. Use SHOW TABLES or DESCRIBE TABLE"):
        check_reads_only(statement)


def test_words_are_in_lower_case_and_without_text_and_comments() -> None:
    assert words_of("""select 'events' from "silver.events", Logins -- detections""") == {
        "select", "from", "silver.events", "logins",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("select NOW ( )", f"select {INSTANT}"),
        ("select current_timestamp", f"select {INSTANT}"),
        ("select 'now()', \"now()\"", "select 'now()', \"now()\""),
        ("select 'it''s now()' from a", "select 'it''s now()' from a"),
        ("select snow()", "select snow()"),
    ],
)
def test_now_is_an_instant_in_utc_except_in_text(statement: str, expected: str) -> None:
    assert with_instant(statement, NOW) == expected


@pytest.mark.parametrize(
    ("text", "ends"),
    [("select 1;", True), ("select 1; -- done", True), ("select ';", False), ("select 1 -- ;", False), ("", False)],
)
def test_a_semicolon_outside_of_text_ends_a_statement(text: str, ends: bool) -> None:
    assert ends_statement(text) == ends
