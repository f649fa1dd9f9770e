"""Standard output for a person: tables, and steps with the time they took."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from lakehouse.steps import shown_steps

if TYPE_CHECKING:
    from rich.console import Console

# Width of a table if standard output is not a terminal.
PLAIN_WIDTH = 80

# Columns whose values are of no use if they are cut: `success_after_attack` is not `success_after_attack_ip`.
NAMES = frozenset({"rule", "scenario", "planted attack"})

Cell = str | int | None


def terminal_width() -> int | None:
    """Return the width of the terminal; None if standard output is not a terminal but, for example, a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def output_console() -> Console:
    """Return a console on standard output: styled on a terminal, plain lines of a fixed width elsewhere."""
    from rich.console import Console

    return Console(width=terminal_width() or PLAIN_WIDTH, highlight=False)


def print_table(*columns: str, rows: Sequence[Sequence[Cell]], title: str | None = None) -> None:
    """Print rows below their column names; integers are aligned right, with separators of thousands.

    Nothing is cut: the columns in `NAMES` are as wide as their widest name, the others continue on the next line.
    """
    import rich.box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for position, name in enumerate(columns):
        cells = [row[position] for row in rows if row[position] is not None]
        is_number = bool(cells) and all(isinstance(cell, int) for cell in cells)
        justify: Literal["right", "left"] = "right" if is_number else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name in NAMES)
    for row in rows:
        table.add_row(*(Text(_text(cell)) for cell in row))
    console = output_console()
    if title:
        # Not as the table's own title, which would be no wider than the table.
        console.print(f"\n{title}", style="bold", markup=False)
    console.print(table)


@contextmanager
def timed_step(console: Console, name: str, *, usual_seconds: int | None = None) -> Iterator[None]:
    """Show that a step is running and how long it usually takes, and at its end how long it took."""
    started = time.monotonic()
    title = f"{name} (about {usual_seconds} s)" if usual_seconds else name
    if not console.is_terminal:
        console.print(f"{title} …")
    with shown_steps(console, title=title):
        yield
    console.print(f"{name}: {time.monotonic() - started:.1f} s")


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    return f"{cell:,}" if isinstance(cell, int) else cell
