"""Rows as text that fits a terminal."""

from __future__ import annotations

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


def test_the_widest_texts_are_shortened_first() -> None:
    columns, left_out = fitted([a_text("a", "x" * 20), a_text("b", "y" * 60)], 60)

    assert left_out == []
    assert [column.cells for column in columns] == [("x" * 20,), ("y" * 37 + "…",)]


def test_the_last_columns_are_left_out_where_short_texts_do_not_help() -> None:
    columns, left_out = fitted([a_text("a", "x" * 40), GridColumn("n", ("9" * 20,)), a_text("b", "y" * 40)], 40)

    assert left_out == ["b"]
    assert [column.width for column in columns] == [18, 20]


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
