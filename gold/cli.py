"""The command that brings gold up to silver."""

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
    """Compute anew what the new silver rows touch, then publish all tables as one snapshot."""
    with spark_job("gold") as lake:
        from gold.job import publish

        snapshot = publish(lake)
    typer.echo(outcome(snapshot))


def outcome(snapshot: Snapshot | None) -> str:
    """One line about what was published."""
    if snapshot is None:
        return "Nothing new: the last snapshot covers all"
    return f"Snapshot {snapshot.id} published, of {snapshot.at:%Y-%m-%d %H:%M:%S} UTC"
