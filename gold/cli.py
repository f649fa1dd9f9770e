"""The command `loginlake gold`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from lakehouse.clock import instant_text
from lakehouse.job import spark_job
from lakehouse.options import SettingsCommand

if TYPE_CHECKING:
    from lakehouse.snapshots import Snapshot

# What a job prints that has published nothing, with the layer that it reads.
NOTHING_NEW = "Nothing new in {}: the last snapshot is up to date"

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake gold")
def gold() -> None:
    """Update the gold tables from new silver rows and publish a snapshot."""
    with spark_job("gold", locks=("refresh",)) as lake:
        from gold.job import refresh_gold

        snapshot = refresh_gold(lake)
    typer.echo(describe_published(snapshot) if snapshot else NOTHING_NEW.format("silver"))


def describe_published(snapshot: Snapshot) -> str:
    """Return one line about a snapshot that was published."""
    return f"Published snapshot {snapshot.id} at {instant_text(snapshot.at)}"
