"""The verbs that mend a lake: `rebuild`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from gold.cli import outcome
from lakehouse.job import spark_job

Layer = Annotated[Literal["silver", "gold"], typer.Argument(help="silver takes gold along.")]


def register(app: typer.Typer) -> None:
    """Adds the verbs to a command line."""
    app.command()(rebuild)


def rebuild(layer: Layer) -> None:
    """Write silver anew from bronze, or gold anew from silver, and publish it as one snapshot.

    Readers stay on the last snapshot until then.
    """
    with spark_job("rebuild") as lake:
        from loginlake import pipeline

        rebuilt = {"silver": pipeline.rebuild_silver, "gold": pipeline.rebuild_gold}[layer]
        typer.echo(outcome(rebuilt(lake, lake.settings)))
