"""The verb `maintain`."""

from __future__ import annotations

import json as json_text
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.entrypoint import stop_on_signals
from lakehouse.errors import UsageError
from lakehouse.job import spark_job
from lakehouse.options import SettingsCommand
from loginlake.commands.output import print_table
from loginlake.durations import seconds

if TYPE_CHECKING:
    from loginlake.retention import TableMaintenance

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake maintain --dry-run")
def maintain(
    *,
    every: Annotated[str | None, typer.Option(metavar="1h", help="Go on until Ctrl-C, at most this often.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be compacted, and do nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compact small files, expire snapshots older than the promise, and remove what only those needed.

    Files that a retained snapshot, a running stream or an open reader needs are kept; RETENTION_DAYS and
    RETENTION_GRACE_DAYS set for how long.
    """
    if every and dry_run:
        raise UsageError("--every and --dry-run are given both", hint="Give one of them")
    pace = seconds(every) if every else None
    with spark_job("maintain") as lake:
        from loginlake import retention
        from loginlake.pipeline import maintain_if_free

        if dry_run:
            _print(retention.planned(lake), json=json)
            return
        if pace is None:
            _print(retention.maintain(lake), json=json)
            return
        with stop_on_signals() as stop:
            while not stop.is_set():
                started = time.monotonic()
                if done := maintain_if_free(lake):
                    _print(done, json=json)
                stop.wait(max(0.0, started + pace - time.monotonic()))


def _print(done: list[TableMaintenance], *, json: bool) -> None:
    if json:
        typer.echo(json_text.dumps([asdict(upkeep) for upkeep in done]))
        return
    rows = [
        (upkeep.table, f"{upkeep.small_files:,}", f"{upkeep.bytes_before:,}", _shown(upkeep.bytes_after))
        for upkeep in done
    ]
    print_table("table", "small files", "bytes before", "bytes after", rows=rows)


def _shown(size: int | None) -> str:
    return "-" if size is None else f"{size:,}"
