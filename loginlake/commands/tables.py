"""`loginlake tables`: list the tables of the lake."""

from __future__ import annotations

import typer

from lakehouse.options import SettingsCommand
from loginlake.commands.output import Format, Json, output_format, write_rows
from loginlake.commands.reading import open_store

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake tables --json")
def tables(*, form: Format = "table", json: Json = False) -> None:
    """List the tables of the lake, with the version that the last snapshot names and the meaning of one row."""
    form = output_format(form, json=json)
    store = open_store()
    import polars as pl

    from lakehouse.tables import TABLES

    snapshots = store.snapshots()
    versions = snapshots[-1].versions if snapshots else {}
    listed = [
        {"table": table.full_name, "version": versions.get(table.full_name), "grain": table.grain}
        for table in TABLES.values()
    ]
    write_rows(pl.DataFrame(listed, schema_overrides={"version": pl.Int64}), form)
