"""`loginlake history`: show the versions of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.options import SettingsCommand
from loginlake.commands.output import Columns, Format, Json, Vertical, requested_output
from loginlake.commands.reading import open_store

if TYPE_CHECKING:
    from serving.store import Commit

MOST_VERSIONS = 10_000
SHOWN = ("version", "at", "operation", "rows", "files", "mb", "removed_files")

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake history silver.events --limit 5")
def history(  # noqa: PLR0913 - each parameter is an option of the command
    table: Annotated[str, typer.Argument(help="Name of the table, with or without its layer.")],
    *,
    limit: Annotated[
        int, typer.Option(metavar="ROWS", min=1, max=MOST_VERSIONS, help="Maximum number of versions.")
    ] = 20,
    form: Format = None,
    json: Json = False,
    columns: Columns = None,
    vertical: Vertical = False,
) -> None:
    """Show the versions of a table, published or not, newest first: what each commit wrote and removed."""
    output = requested_output(form, json=json, columns=columns, vertical=vertical)
    store = open_store()
    import polars as pl

    from lakehouse.tables import table_named

    rows = [_row(commit) for commit in store.history(table_named(table), limit=limit)]
    types = {"rows": pl.Int64, "files": pl.Int64, "mb": pl.Float64, "removed_files": pl.Int64}
    output.write(pl.DataFrame(rows, schema_overrides=types, infer_schema_length=None), shown=SHOWN)


def _row(commit: Commit) -> dict[str, Any]:
    """Return a commit with its figures; null for those that its operation does not report."""
    import msgspec

    written = _figure(commit, "numOutputBytes", "numAddedBytes")
    return {
        "version": commit.version,
        "at": commit.at,
        "operation": commit.operation,
        "rows": _figure(commit, "numOutputRows", "num_added_rows"),
        "files": _figure(commit, "numFiles", "numAddedFiles", "num_added_files"),
        "mb": None if written is None else written / 1e6,
        "removed_files": _figure(commit, "numRemovedFiles", "num_removed_files"),
        "metrics": msgspec.json.encode(commit.metrics, order="sorted").decode(),
    }


def _figure(commit: Commit, *names: str) -> int | None:
    """Return the first metric that the commit has; Spark's operations and delta-rs have different names for it."""
    return next((int(commit.metrics[name]) for name in names if name in commit.metrics), None)
