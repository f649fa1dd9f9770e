"""Rows on standard output, in the format and with the columns that options name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.errors import BadQuery, UsageError, name_hint

if TYPE_CHECKING:
    import polars as pl

    from loginlake.grid import GridColumn

ALL_COLUMNS = "all"
# A table shows at most this many rows; the other formats write all.
ROWS_SHOWN = 100
# Up to this many rows are printed one below the other if not all columns fit.
FEW_ROWS = 5
# How an instant is printed with its fraction of a second.
EXACTLY = "%Y-%m-%d %H:%M:%S.%f"
# Ids of detections have 32 characters; event ids may have thousands.
MAX_ID = 32


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    import json

    typer.echo(json.dumps(value, indent=2))


@dataclass(frozen=True)
class Output:
    """How rows are written.

    Attributes:
        form: One of `FORMATS`.
        columns: Names of the columns to write; empty for the default ones, `ALL_COLUMNS` for all.
        is_vertical: True if a table has one line per column and row.
    """

    form: str = "table"
    columns: tuple[str, ...] = ()
    is_vertical: bool = False

    @property
    def is_table(self) -> bool:
        """True if the rows are printed for a person."""
        return self.form == "table"

    def rows_to_read(self, limit: int | None) -> int | None:
        """Return how many rows to read: --limit, else for a table one more than it shows, else None for all."""
        return ROWS_SHOWN + 1 if limit is None and self.is_table else limit

    def write_first(
        self, rows: pl.DataFrame, *, limit: int | None, shown: Sequence[str] = (), exact: Sequence[str] = ()
    ) -> None:
        """Write the rows; of a table without --limit the first ones, with a note if there are more."""
        is_cut = limit is None and self.is_table and rows.height > ROWS_SHOWN
        self.write(rows.head(ROWS_SHOWN) if is_cut else rows, shown=shown, exact=exact)
        if is_cut:
            typer.echo(note_of_more(), err=True)

    def write(self, rows: pl.DataFrame, *, shown: Sequence[str] = (), exact: Sequence[str] = ()) -> None:
        """Write the rows; a table has only the columns `shown`, unless --columns names others.

        Args:
            rows: The rows.
            shown: Columns of a table; by default all.
            exact: Columns of instants that a table prints with their fractions of a second.

        Raises:
            BadQuery: A column that --columns names does not exist.
        """
        names = self._chosen(rows.columns, shown)
        if self.is_table:
            if self.is_vertical and rows.is_empty():
                names = []
            too_wide = write_table(
                rows.select(names),
                is_vertical=self.is_vertical,
                rows_that_turn=self._rows_that_turn(shown),
                exact=exact,
            )
            hidden = [] if self.columns else [name for name in rows.columns if name not in names]
            if rows.is_empty():
                typer.echo("No rows", err=True)
            else:
                _note_left_out([*hidden, *too_wide])
        else:
            WRITERS[self.form](rows.select(names))
        sys.stdout.flush()

    def _rows_that_turn(self, shown: Sequence[str]) -> int:
        """Return the largest number of rows that are printed one below the other if not all columns fit.

        With --columns there is no limit, because all columns that it names are printed. With columns that are shown by
        default it is 0: those that do not fit are left out.
        """
        if self.columns:
            return sys.maxsize
        return 0 if shown else FEW_ROWS

    def _chosen(self, names: Sequence[str], shown: Sequence[str]) -> Sequence[str]:
        if self.columns == (ALL_COLUMNS,):
            return names
        for name in self.columns:
            if name not in names:
                raise BadQuery(f"--columns: there is no column {name!r}", hint=name_hint(name, names))
        return self.columns or (shown if self.is_table and not self.is_vertical and shown else names)


def note_of_more() -> str:
    """Return the note below a table that does not show all rows."""
    return f"Only the first {ROWS_SHOWN} rows are shown; use --limit, or --json for all"


def print_rows(rows: Sequence[Mapping[str, Any]], *, title: str | None = None) -> None:
    """Print rows with equal keys as a table under a title, or nothing if there are none."""
    import polars as pl

    if not rows:
        return
    if title:
        typer.echo(f"\n{title}")
    left_out = write_table(pl.DataFrame(rows[:ROWS_SHOWN], infer_schema_length=None))
    if left_out:
        typer.echo(f"Without {', '.join(left_out)}; --json prints all", err=True)
    if len(rows) > ROWS_SHOWN:
        typer.echo(f"The first {ROWS_SHOWN} of {len(rows):,} rows; --json prints all", err=True)


def requested_output(form: str | None, *, json: bool, columns: str | None = None, vertical: bool = False) -> Output:
    """Return the output that the options name.

    Raises:
        BadQuery: The format is not known.
        UsageError: --format names another format than --json, or Parquet would be written to a terminal.
    """
    if json and form not in {None, "json"}:
        raise UsageError(f"--json and --format {form} are both given", hint="Give only one of them")
    form = form or ("json" if json else "table")
    if form not in FORMATS:
        raise BadQuery(f"{form!r} is not a known format", hint=name_hint(form, FORMATS))
    if form == "parquet" and sys.stdout.isatty():
        raise UsageError("Parquet is binary and is not printed on a terminal", hint="Add > FILE.parquet")
    names = tuple(dict.fromkeys(name.strip() for name in columns.split(",") if name.strip())) if columns else ()
    return Output(form, names, is_vertical=vertical)


def write_table(
    rows: pl.DataFrame, *, is_vertical: bool = False, rows_that_turn: int = FEW_ROWS, exact: Sequence[str] = ()
) -> Sequence[str]:
    """Print the rows so that they fit the terminal, and return the names of the columns for which there is no room.

    Args:
        rows: The rows.
        is_vertical: True if they are printed one below the other in any case.
        rows_that_turn: If not all columns fit, up to so many rows are printed one below the other; more rows are a
            table without the last columns.
        exact: Columns of instants that are printed with their fractions of a second.
    """
    from loginlake.grid import fitted, table_lines, vertical_lines
    from loginlake.terminal import terminal_width

    if not rows.width:
        return []
    grid, width = [_grid_column(rows[name], is_exact=name in exact) for name in rows.columns], terminal_width()
    grid_that_fits, left_out = fitted(grid, width)
    if rows.height and (is_vertical or (left_out and rows.height <= rows_that_turn)):
        typer.echo("\n".join(vertical_lines(grid, width)))
        return []
    typer.echo("\n".join(table_lines(grid_that_fits)))
    return left_out


def _note_left_out(names: Sequence[str]) -> None:
    if names:
        columns = f"{len(names)} more column{'s' if len(names) > 1 else ''}"
        typer.echo(f"{columns}: --columns all, --columns A,B or --vertical", err=True)


def _grid_column(values: pl.Series, *, is_exact: bool) -> GridColumn:
    from loginlake.grid import GridColumn
    from loginlake.terminal import NAMES

    type_ = values.dtype
    instant = EXACTLY if is_exact else _instant_format([value for value in values if isinstance(value, datetime)])
    cells = tuple(_cell(value, instant=instant) for value in values.to_list())
    # An id is of no use if it is cut.
    is_id = values.name.endswith("_id") and max(map(len, cells), default=0) <= MAX_ID
    is_name = values.name in NAMES
    is_text = not type_.is_numeric() and not type_.is_temporal() and not is_id and not is_name
    is_empty = 0 < len(values) == values.null_count()
    is_number = type_.is_numeric()
    return GridColumn(values.name, cells, is_number=is_number, is_text=is_text, is_name=is_name, is_empty=is_empty)


def value_text(value: Any) -> str:
    """Return a value as a table prints it."""
    return _cell(value, instant=_instant_format([value] if isinstance(value, datetime) else []))


def _instant_format(instants: Sequence[datetime]) -> str:
    """Return the shortest format that loses nothing but fractions of a second: of days, of minutes, of seconds."""
    times = {instant.astimezone(UTC).time() if instant.tzinfo else instant.time() for instant in instants}
    if times and times <= {time()}:
        return "%Y-%m-%d"
    if all(each.second == each.microsecond == 0 for each in times):
        return "%Y-%m-%d %H:%M"
    return "%Y-%m-%d %H:%M:%S"


def _cell(value: Any, *, instant: str) -> str:
    """Return a value as text for a person; characters that could control a terminal are written as escapes."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.strftime(instant)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, bytes):
        value = value.decode(errors="backslashreplace")
    elif isinstance(value, list):
        value = ", ".join(_cell(each, instant=instant) for each in value)
    elif isinstance(value, dict):
        value = " ".join(_cell(each, instant=instant) for each in value.values())
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(value))


def _write_json(rows: pl.DataFrame) -> None:
    import msgspec

    from serving.formats import json_rows, with_json_values

    values = with_json_values(json_rows(rows))
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(values), indent=2) + b"\n")


def _write_ndjson(rows: pl.DataFrame) -> None:
    import msgspec

    from serving.formats import json_rows, with_json_values

    for row in with_json_values(json_rows(rows)):
        sys.stdout.buffer.write(msgspec.json.encode(row) + b"\n")


def _write_csv(rows: pl.DataFrame) -> None:
    from serving.formats import csv

    sys.stdout.buffer.write(csv(rows))


def _write_parquet(rows: pl.DataFrame) -> None:
    rows.write_parquet(sys.stdout.buffer)


WRITERS: dict[str, Callable[[pl.DataFrame], None]] = {
    "json": _write_json,
    "csv": _write_csv,
    "ndjson": _write_ndjson,
    "parquet": _write_parquet,
}
FORMATS = ("table", *WRITERS)

Format = Annotated[
    str | None,
    typer.Option("--format", metavar="F", help=f"Output format: {', '.join(FORMATS)}. Default: table."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="A,B|all",
        help="Columns to print, a row on several lines if they do not fit. Default: all; in a table, those that fit.",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="ROWS",
        min=1,
        help=f"Maximum number of rows. Default: all; --format table shows {ROWS_SHOWN}.",
    ),
]
Vertical = Annotated[bool, typer.Option("--vertical", help="Print a table with one line per column and row.")]
