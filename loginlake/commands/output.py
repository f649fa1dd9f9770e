"""Rows on standard output, in the format that --format or --json names."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.errors import BadQuery
from loginlake.terminal import add_rows, empty_table

if TYPE_CHECKING:
    import polars as pl

# Wider than any table, so that its own width can be measured.
UNBOUNDED_WIDTH = 100_000


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    import json

    typer.echo(json.dumps(value, indent=2))


def write_rows(rows: pl.DataFrame, form: str) -> None:
    """Write the rows in one of `FORMATS`."""
    FORMATS[form](rows)
    sys.stdout.flush()


def output_format(form: str, *, json: bool) -> str:
    """Return the format that the options --format and --json name.

    Raises:
        BadQuery: The format is not known.
    """
    if json:
        return "json"
    if form not in FORMATS:
        raise BadQuery(f"{form!r} is not a known format", hint=f"Use one of {', '.join(FORMATS)}")
    return form


def _write_table(rows: pl.DataFrame) -> None:
    from rich.console import Console
    from rich.measure import Measurement

    table = empty_table()
    for name, type_ in rows.schema.items():
        table.add_column(name, justify="right" if type_.is_numeric() else "left", no_wrap=True)
    add_rows(table, [[_cell(value) for value in row] for row in rows.iter_rows()])
    # As wide as the rows are: a truncated value can't be copied.
    unbounded = Console(width=UNBOUNDED_WIDTH)
    Console(width=Measurement.get(unbounded, unbounded.options, table).maximum, highlight=False).print(table)


def _cell(value: Any) -> str:
    """Return a value as text for a person; characters that could control a terminal are written as escapes."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return f"{value:.4g}"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(value))


def _write_json(rows: pl.DataFrame) -> None:
    import msgspec

    from serving.formats import json_rows

    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(json_rows(rows)), indent=2) + b"\n")


def _write_ndjson(rows: pl.DataFrame) -> None:
    import msgspec

    from serving.formats import json_rows

    for row in json_rows(rows):
        sys.stdout.buffer.write(msgspec.json.encode(row) + b"\n")


def _write_csv(rows: pl.DataFrame) -> None:
    from serving.formats import csv

    sys.stdout.buffer.write(csv(rows))


def _write_parquet(rows: pl.DataFrame) -> None:
    rows.write_parquet(sys.stdout.buffer)


FORMATS: dict[str, Callable[[pl.DataFrame], None]] = {
    "table": _write_table,
    "json": _write_json,
    "csv": _write_csv,
    "ndjson": _write_ndjson,
    "parquet": _write_parquet,
}

Format = Annotated[str, typer.Option("--format", metavar="|".join(FORMATS), help="Output format.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
