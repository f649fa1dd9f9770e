"""`loginlake maintain`: compact tables and remove files that no retained snapshot needs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.clock import utc_now
from lakehouse.entrypoint import print_text, stop_on_signals
from lakehouse.errors import UsageError
from lakehouse.job import spark_job
from lakehouse.options import SettingsCommand
from loginlake.commands.output import Json, print_json
from loginlake.durations import parse_duration
from loginlake.terminal import print_table

if TYPE_CHECKING:
    from lakehouse.lake import Lake
    from loginlake.maintenance_plan import TableMaintenance

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake maintain --dry-run")
def maintain(
    *,
    every: Annotated[
        str | None, typer.Option(metavar="1h", help="Repeat until Ctrl-C, at most once in this time.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Report what would be compacted and which snapshots would expire, without changing anything.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Compact small files, expire old snapshots, and remove the files that only those needed.

    Files that a retained snapshot, a running stream or an open reader needs are kept. RETENTION_DAYS and
    RETENTION_GRACE_DAYS set for how long.
    """
    if every and dry_run:
        raise UsageError("--every and --dry-run can't be combined", hint="Use one of them")
    seconds = parse_duration(every) if every else None
    if dry_run:
        if json:
            _print(_planned(), json=True)
        else:
            _print_plan(_planned())
        return
    with spark_job("maintain", locks=() if every else ("refresh",)) as lake:
        from loginlake import retention

        if seconds is not None:
            _maintain_every(lake, seconds=seconds, json=json)
            return
        _print(retention.maintain(lake), json=json)


def _planned() -> list[TableMaintenance]:
    from lakehouse.progress_bar import progress_bar
    from lakehouse.settings import load_settings
    from loginlake.maintenance_plan import plan_maintenance

    with progress_bar() as show:
        return plan_maintenance(load_settings(), on_table=show)


def _print_plan(tables: Sequence[TableMaintenance]) -> None:
    """Print the tables with files to compact, and the snapshots that would expire."""
    from lakehouse.settings import load_settings
    from loginlake.maintenance_plan import expiring_snapshots
    from serving.store import Store

    settings = load_settings()
    rows = [(table.table, table.small_files, table.bytes_before) for table in tables if table.small_files]
    expiring = expiring_snapshots(Store(settings), settings, now=utc_now())
    setting = f"LOGINLAKE_RETENTION_DAYS is {settings.retention_days}"
    if rows:
        print_table("table", "small files to compact", "bytes", rows=rows)
    if expiring:
        typer.echo(f"Snapshots {expiring[0].id} to {expiring[-1].id} would expire: {setting}")
    else:
        start = "No" if rows else "Nothing to do: no small files, and no"
        print_text(f"{start} snapshot in gold.snapshots would expire ({setting})")


def _maintain_every(lake: Lake, *, seconds: float, json: bool) -> None:
    from loginlake.pipeline import maintain_if_free

    with stop_on_signals(finishing="maintenance") as stop:
        while not stop.is_set():
            started = time.monotonic()
            if tables := maintain_if_free(lake):
                _print(tables, json=json)
            stop.wait(max(0.0, started + seconds - time.monotonic()))


def _print(tables: Sequence[TableMaintenance], *, json: bool) -> None:
    if json:
        print_json([asdict(table) for table in tables])
        return
    rows = [(table.table, table.small_files, table.bytes_before, table.bytes_after) for table in tables]
    print_table("table", "small files", "bytes before", "bytes after", rows=rows)
