"""Rows on standard output, in the format that was asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

WIDEST = 100_000
# Off a terminal a table is as wide as that.
PLAIN_WIDTH = 160
NUMBERS = frozenset({"checked", "faults", "rows", "small files", "bytes before", "bytes after"})


def write_rows(rows: pl.DataFrame, form: str) -> None:
    """Writes the rows in one of `FORMS`."""
    FORMS[form](rows)
    sys.stdout.flush()


def print_table(*columns: str, rows: Sequence[Sequence[str]]) -> None:
    """Prints cells of text under their columns; those named in `NUMBERS` stand right."""
    import rich.box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in NUMBERS else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(highlight=False)
    Console(width=None if console.is_terminal else PLAIN_WIDTH, highlight=False).print(table)


def _table(rows: pl.DataFrame) -> None:
    import rich.box
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    table = Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for name, type_ in rows.schema.items():
        table.add_column(name, justify="right" if type_.is_numeric() else "left", no_wrap=True)
    for row in rows.iter_rows():
        table.add_row(*(Text(_shown(value)) for value in row))
    # As wide as the rows are: a value that is cut off can't be copied.
    endless = Console(width=WIDEST)
    Console(width=Measurement.get(endless, endless.options, table).maximum, highlight=False).print(table)


def _shown(value: Any) -> str:
    """A value for a person; what could steer a terminal is written as its escape."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return f"{value:.4g}"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(value))


def _json(rows: pl.DataFrame) -> None:
    import msgspec

    from serving.formats import json_rows

    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(json_rows(rows)), indent=2) + b"\n")


def _ndjson(rows: pl.DataFrame) -> None:
    import msgspec

    from serving.formats import json_rows

    for row in json_rows(rows):
        sys.stdout.buffer.write(msgspec.json.encode(row) + b"\n")


def _csv(rows: pl.DataFrame) -> None:
    from serving.formats import csv

    sys.stdout.buffer.write(csv(rows))


def _parquet(rows: pl.DataFrame) -> None:
    rows.write_parquet(sys.stdout.buffer)


FORMS: dict[str, Callable[[pl.DataFrame], None]] = {
    "table": _table,
    "json": _json,
    "csv": _csv,
    "ndjson": _ndjson,
    "parquet": _parquet,
}
