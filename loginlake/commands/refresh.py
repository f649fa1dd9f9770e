"""`loginlake refresh`: update silver and gold, and publish a snapshot."""

from __future__ import annotations

from typing import Annotated

import typer

from gold.cli import NOTHING_NEW, describe_published
from lakehouse.entrypoint import stop_on_signals
from lakehouse.job import spark_job
from lakehouse.options import SettingsCommand
from loginlake.durations import parse_duration

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake refresh --every 60s")
def refresh(
    *,
    every: Annotated[
        str | None, typer.Option(metavar="60s", help="Repeat until Ctrl-C, at most once in this time.")
    ] = None,
) -> None:
    """Update silver from bronze and gold from silver, and publish the next snapshot."""
    seconds = parse_duration(every) if every else None
    with spark_job("refresh", locks=("refresh",)) as lake:
        from loginlake import pipeline

        if seconds is None:
            snapshot = pipeline.refresh(lake)
            typer.echo(describe_published(snapshot) if snapshot else NOTHING_NEW.format("bronze"))
            return
        with stop_on_signals(finishing="a refresh") as stop:
            pipeline.refresh_every(
                lake, stop, seconds=seconds, on_publish=lambda snapshot: typer.echo(describe_published(snapshot))
            )
