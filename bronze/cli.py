"""The command `loginlake bronze`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.entrypoint import stop_on_signals
from lakehouse.job import spark_job
from lakehouse.options import SettingsCommand
from lakehouse.steps import running

if TYPE_CHECKING:
    from lakehouse.lake import Lake

POLL_SECONDS = 0.5

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake bronze --once")
def bronze(
    *, once: Annotated[bool, typer.Option("--once", help="Stop after the records that Kafka has now.")] = False
) -> None:
    """Append the records of Kafka to bronze as they arrive, until Ctrl-C."""
    ingest = _ingest_once if once else _ingest_until_stopped
    # A demo stores the records itself, batch by batch, and would fail at a lock that is held.
    with spark_job("bronze", locks=("stack", "bronze")) as lake:
        started = datetime.now(UTC)
        ingest(lake)
        typer.echo(f"Rows appended to bronze.raw_logs: {_rows_since(lake, started):,}")


def _ingest_once(lake: Lake) -> None:
    from bronze.stream import ingest_once

    ingest_once(lake)


def _ingest_until_stopped(lake: Lake) -> None:
    from bronze.stream import running_stream

    with (
        running_stream(lake, once=False) as query,
        stop_on_signals(finishing="a batch") as stop,
        running("Waiting for records") as rename,
    ):
        typer.echo(f"Reading {lake.settings.topic} at {lake.settings.kafka}; Ctrl-C stops it", err=True)
        last_batch, records = None, 0
        while query.isActive and not stop.wait(POLL_SECONDS):
            batch = query.lastProgress  # an idle stream reports the next batch, without rows
            if batch is not None and batch.numInputRows and batch.batchId != last_batch:
                last_batch, records = batch.batchId, records + batch.numInputRows
                rename(f"{records:,} records stored")
        failure = query.exception()
        if failure is not None:
            raise failure


def _rows_since(lake: Lake, started: datetime) -> int:
    """Return the number of rows that this run has written: no other job could write while it held the lock."""
    from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

    from lakehouse.tables.bronze import RAW_LOGS

    days = lake.read(RAW_LOGS).where(F.col("ingested_on") >= F.lit(started.date()))
    return days.where(F.col("ingested_at") >= F.lit(started)).count()
