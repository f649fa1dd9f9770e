"""The command `loginlake silver`."""

from __future__ import annotations

import typer

from lakehouse.job import spark_job
from lakehouse.options import SettingsCommand

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake silver")
def silver() -> None:
    """Append one silver row for every bronze row that silver lacks, in one commit."""
    with spark_job("silver", locks=("refresh",)) as lake:
        from silver.job import update_silver

        rows = update_silver(lake)
    typer.echo(f"Rows appended to silver.events: {rows:,}" if rows else "Nothing new: silver has all rows of bronze")
