"""The command `loginlake gold`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from lakehouse.job import spark_job
from lakehouse.options import SettingsCommand

if TYPE_CHECKING:
    from lakehouse.snapshots import Snapshot

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake gold")
def gold() -> None:
    """Update the gold tables from new silver rows and publish a snapshot."""
    with spark_job("gold", locks=("refresh",)) as lake:
        from gold.job import refresh_gold

        snapshot = refresh_gold(lake)
    typer.echo(describe_published(snapshot))


def describe_published(snapshot: Snapshot | None) -> str:
    """Return one line that describes the published snapshot."""
    if snapshot is None:
        return "Nothing new: the last snapshot is up to date"
    return f"Published snapshot {snapshot.id} at {snapshot.at:%Y-%m-%d %H:%M:%S} UTC"
