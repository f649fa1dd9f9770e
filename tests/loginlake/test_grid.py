"""Rows as text that fits a terminal."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from loginlake.grid import GridColumn, fitted, table_lines, vertical_lines


def a_text(name: str, *cells: str) -> GridColumn:
    return GridColumn(name, cells, is_text=True)


def test_a_table_has_its_names_a_rule_and_numbers_aligned_right() -> None:
    assert table_lines([a_text("ip", "192.0.2.1", "-"), GridColumn("n", ("7", "10"), is_number=True)]) == [
        "ip          n",
        "─────────  ──",
        "192.0.2.1   7",
        "-          10",
    ]


def test_the_work_for_a_table_grows_with_its_rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, measured = 2_000, []

    def counted(text: str) -> int:
        measured.append(text)
        return cell_len(text)

    monkeypatch.setattr("loginlake.grid.cell_len", counted)
    columns, _ = fitted([a_text("a", *map(str, range(rows))), a_text("b", *["x"] * rows)], 80)

    assert table_lines(columns)[-1] == "1999  x"
    assert len(measured) < 10 * rows


def test_the_widest_texts_are_shortened_first() -> None:
    columns, left_out = fitted([a_text("a", "x" * 20), a_text("b", "y" * 60)], 60)

    assert left_out == []
    assert [column.cells for column in columns] == [("x" * 20,), ("y" * 37 + "…",)]


def test_the_last_columns_are_left_out_where_short_texts_do_not_help() -> None:
    columns, left_out = fitted([a_text("a", "x" * 40), GridColumn("n", ("9" * 20,)), a_text("b", "y" * 40)], 40)

    assert left_out == ["b"]
    assert [column.width for column in columns] == [18, 20]


def a_name(name: str, *cells: str) -> GridColumn:
    return GridColumn(name, cells, is_name=True)


def without_values(name: str) -> GridColumn:
    return GridColumn(name, ("-", "-"), is_text=True, is_empty=True)


RULES = a_name("rule", "success_after_attack_ip", "brute_force_ip")


def test_a_name_is_whole_where_shorter_texts_or_one_column_less_make_room() -> None:
    for last, width in ((a_text("a", "x" * 40), 23 + 2 + 16), (GridColumn("n", ("9" * 40, "8")), 30)):
        columns, left_out = fitted([RULES, last], width)

        assert columns[0] == RULES
        assert left_out == ([] if last.is_text else ["n"])


def test_a_name_continues_after_an_underscore_rather_than_that_two_columns_are_left_out() -> None:
    numbers = [GridColumn(name, ("7", "8"), is_number=True) for name in "abc"]

    columns, left_out = fitted([RULES, *numbers], 25)

    assert left_out == []
    assert table_lines(columns) == [
        "rule            a  b  c",
        "──────────────  ─  ─  ─",
        "success_after_  7  7  7",
        "attack_ip",
        "brute_force_ip  8  8  8",
    ]


def test_columns_without_a_value_are_left_out_before_a_name_is_broken() -> None:
    grid = [RULES, without_values("note"), GridColumn("n", ("7", "8"), is_number=True), without_values("label")]

    for width, expected in ((26, ["note", "label"]), (23, ["note", "n", "label"])):
        columns, left_out = fitted(grid, width)

        assert (columns[0], left_out) == (RULES, expected)


def test_a_table_without_any_value_or_without_columns_is_fitted_too() -> None:
    empty = [without_values("a"), without_values("b")]

    assert fitted(empty, 1)[1] == ["b"]
    assert fitted([], 1) == ([], [])


def test_columns_without_a_value_are_kept_where_there_is_room() -> None:
    columns, left_out = fitted([RULES, without_values("label")], 30)

    assert ([column.name for column in columns], left_out) == (["rule", "label"], [])


def test_wide_characters_take_two_columns() -> None:
    (column,), _ = fitted([a_text("a", "漢" * 20)], 21)

    assert column.cells == ("漢" * 10 + "…",)


def test_nothing_is_shortened_without_a_terminal() -> None:
    grid = [a_text("a", "x" * 500)]

    assert fitted(grid, None) == (grid, [])


def test_a_vertical_row_has_one_line_per_column_and_wraps_long_values() -> None:
    grid = [GridColumn("n", ("1",)), a_text("text", "one two three four five six seven")]

    assert vertical_lines(grid, 26) == [
        "row 1",
        "n     1",
        "text  one two three four",
        "      five six seven",
    ]
