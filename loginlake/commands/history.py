"""`loginlake history`: show the versions of a table."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from lakehouse.options import SettingsCommand
from loginlake.commands.output import Columns, Format, Json, Vertical, requested_output
from loginlake.commands.reading import open_store

MOST_VERSIONS = 10_000

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake history silver.events --limit 5")
def history(  # noqa: PLR0913 - each parameter is an option of the command
    table: Annotated[str, typer.Argument(help="Name of the table, with or without its layer.")],
    *,
    limit: Annotated[
        int, typer.Option(metavar="ROWS", min=1, max=MOST_VERSIONS, help="Maximum number of versions.")
    ] = 20,
    form: Format = "table",
    json: Json = False,
    columns: Columns = None,
    vertical: Vertical = False,
) -> None:
    """Show the versions of a table, published or not, newest first."""
    output = requested_output(form, json=json, columns=columns, vertical=vertical)
    store = open_store()
    import msgspec
    import polars as pl

    from lakehouse.tables import table_named

    commits = [asdict(commit) for commit in store.history(table_named(table), limit=limit)]
    for commit in commits:
        commit["metrics"] = msgspec.json.encode(commit["metrics"], order="sorted").decode()
    output.write(pl.DataFrame(commits))
