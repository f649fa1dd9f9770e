"""`loginlake history`: show the versions of a table."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from lakehouse.options import SettingsCommand
from loginlake.commands.output import Format, Json, output_format, write_rows
from loginlake.commands.reading import open_store

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake history silver.events --limit 5")
def history(
    table: Annotated[str, typer.Argument(help="Name of the table, with or without its layer.")],
    *,
    limit: Annotated[str, typer.Option(metavar="ROWS", help="Maximum number of versions.")] = "20",
    form: Format = "table",
    json: Json = False,
) -> None:
    """Show the versions of a table, published or not, newest first."""
    form = output_format(form, json=json)
    store = open_store()
    import msgspec
    import polars as pl

    from lakehouse.tables import table_named
    from serving.parameters import LARGEST_LIMIT, integer_between

    most = integer_between(1, LARGEST_LIMIT)(limit)
    commits = [asdict(commit) for commit in store.history(table_named(table), limit=most)]
    for commit in commits:
        commit["metrics"] = msgspec.json.encode(commit["metrics"], order="sorted").decode()
    write_rows(pl.DataFrame(commits), form)
