"""`loginlake rebuild`: compute silver or gold again from scratch."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from gold.cli import describe_published
from lakehouse.job import spark_job
from lakehouse.options import SettingsCommand

Layer = Annotated[Literal["silver", "gold"], typer.Argument(help="Rebuilding silver also rebuilds gold.")]

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake rebuild gold")
def rebuild(layer: Layer) -> None:
    """Compute silver again from bronze, or gold again from silver, and publish the result as one snapshot.

    Readers keep the last snapshot until then.
    """
    with spark_job("rebuild", locks=("refresh",)) as lake:
        from loginlake import pipeline

        rebuild_layer = {"silver": pipeline.rebuild_silver, "gold": pipeline.rebuild_gold}[layer]
        snapshot = rebuild_layer(lake)
    typer.echo(describe_published(snapshot) if snapshot else "Nothing to rebuild: the lake is empty")
