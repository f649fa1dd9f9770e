"""`loginlake tables`: list the tables of the lake."""

from __future__ import annotations

import typer

from lakehouse.options import SettingsCommand
from loginlake.commands.output import Format, Json, requested_output
from loginlake.commands.reading import open_store

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake tables --json")
def tables(*, form: Format = None, json: Json = False) -> None:
    """List the tables of the lake, with the version that the last snapshot names and the meaning of one row."""
    output = requested_output(form, json=json)
    store = open_store()
    import polars as pl

    from lakehouse.tables import TABLES
    from loginlake.terminal import print_table

    snapshots = store.snapshots()
    versions = snapshots[-1].versions if snapshots else {}
    listed = [(table.full_name, versions.get(table.full_name), table.grain) for table in TABLES.values()]
    if output.is_table:
        print_table("table", "version", "grain", rows=listed)
    else:
        output.write(
            pl.DataFrame(listed, schema={"table": pl.String, "version": pl.Int64, "grain": pl.String}, orient="row")
        )
