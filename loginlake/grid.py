"""Rows as text that fits a terminal: a table, or the rows one below the other with one line per column."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest

from rich.cells import cell_len, set_cell_size

GAP = "  "
# Text is shortened down to this width before columns are left out.
MIN_TEXT_WIDTH = 16
MIN_VALUE_WIDTH = 20


@dataclass(frozen=True)
class GridColumn:
    """A column of text cells.

    Attributes:
        name: Its heading.
        cells: One for each row.
        is_number: True if the cells are aligned right.
        is_text: True if a cell may be shortened.
        is_name: True if a cell is a name such as `brute_force_ip`: it is not shortened, but may continue after a `_` on
            the next line.
        is_empty: True if no row has a value: such columns are left out first.
    """

    name: str
    cells: tuple[str, ...]
    is_number: bool = False
    is_text: bool = False
    is_name: bool = False
    is_empty: bool = False

    @cached_property
    def width(self) -> int:
        """The width of the widest cell or the name, in columns of the terminal."""
        return max(cell_len(line) for cell in (self.name, *self.cells) for line in cell.split("\n"))

    def shortened(self, width: int) -> GridColumn:
        """Return the column with cells of at most this width: a name in lines, another text cut with an ellipsis."""
        narrowed = _broken if self.is_name else _shortened
        return replace(self, cells=tuple(narrowed(cell, width) for cell in self.cells))

    def aligned(self, line: str) -> str:
        """Return a line of a cell, as wide as the column."""
        width = self.width
        return " " * (width - cell_len(line)) + line if self.is_number else set_cell_size(line, width)


Grid = Sequence[GridColumn]


def fitted(grid: Grid, width: int | None) -> tuple[Grid, list[str]]:
    """Return the columns that fit, with their texts shortened if necessary, and the names of those left out.

    The first of these that fits is returned: all columns; those with a value; these without the last one; those with a
    value, with names broken into lines; then fewer and fewer of these, from the end.
    """
    filled = [column for column in grid if not column.is_empty] or grid
    breakable = [replace(column, is_text=True) if column.is_name else column for column in filled]
    choices = [grid, filled, filled[:-1], *(breakable[:count] for count in range(len(filled), 0, -1))]
    shortened = grid
    for columns in filter(None, choices):
        shortened = _with_short_texts(columns, width)
        if width is None or _width(shortened) <= width:
            break
    kept = {column.name for column in shortened}
    return shortened, [column.name for column in grid if column.name not in kept]


def table_lines(grid: Grid) -> list[str]:
    """Return the lines of a table: the names, a rule, the rows."""
    head = _row_lines(grid, [column.name for column in grid])
    rule = GAP.join("─" * column.width for column in grid)
    rows = zip(*(column.cells for column in grid), strict=True)
    return [*head, rule, *(line for cells in rows for line in _row_lines(grid, cells))]


def vertical_lines(grid: Grid, width: int | None) -> list[str]:
    """Return one block of lines per row, with a line for each column; long values continue on the next lines."""
    names = max((cell_len(column.name) for column in grid), default=0)
    room = None if width is None else max(MIN_VALUE_WIDTH, width - names - len(GAP))
    lines: list[str] = []
    for position in range(len(grid[0].cells) if grid else 0):
        lines.append(f"row {position + 1}")
        for column in grid:
            first, *more = wrapped(column.cells[position], room)
            lines.append(f"{set_cell_size(column.name, names)}{GAP}{first}")
            lines += [" " * names + GAP + line for line in more]
    return lines


def _row_lines(grid: Grid, cells: Sequence[str]) -> list[str]:
    """Return the lines of a row: as many as its highest cell has."""
    lines = zip_longest(*(cell.split("\n") for cell in cells), fillvalue="")
    return [
        GAP.join(column.aligned(text) for column, text in zip(grid, texts, strict=True)).rstrip() for texts in lines
    ]


def _width(grid: Grid) -> int:
    return sum(column.width for column in grid) + len(GAP) * (len(grid) - 1)


def _with_short_texts(grid: Grid, width: int | None) -> Grid:
    """Return the columns with the widest texts shortened until all fit, or until no text can be shorter."""
    if width is None:
        return grid
    columns = list(grid)
    while (excess := _width(columns) - width) > 0:
        texts = [column for column in columns if column.is_text and column.width > _least_width(column)]
        if not texts:
            break
        widest = max(texts, key=lambda column: column.width)
        # Down to the next widest, so that no text is shortened more than it has to be.
        others = [column.width for column in texts if column.width < widest.width]
        goal = max(_least_width(widest), widest.width - excess, max(others, default=0))
        columns[columns.index(widest)] = widest.shortened(goal)
    return columns


def _least_width(column: GridColumn) -> int:
    return max(MIN_TEXT_WIDTH, cell_len(column.name))


def _shortened(cell: str, width: int) -> str:
    return cell if cell_len(cell) <= width else f"{set_cell_size(cell, width - 1)}…"


def _broken(name: str, width: int) -> str:
    """Return a name in lines of at most this width, each of which but the last ends with a `_` where possible."""
    lines = [""]
    for part in re.findall(r"[^_]*_|[^_]+", name):
        if cell_len(lines[-1]) + cell_len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(piece for line in lines if line for piece in wrapped(line, width))


def wrapped(cell: str, width: int | None) -> list[str]:
    """Return the text in lines of at most this width, broken between words; None breaks no line."""
    if width is None or cell_len(cell) <= width:
        return [cell]
    return textwrap.wrap(cell, width, break_on_hyphens=False) or [""]
