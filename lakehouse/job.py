"""A Spark job as a process: its logs, settings and session."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lakehouse.entrypoint import stop_on_signals
from lakehouse.steps import running, shown_steps

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.lake import Lake
    from lakehouse.locks import RefusingName
    from lakehouse.settings import Settings

SPARK_LOG = "spark.log"


@contextmanager
def spark_job(name: str, *, locks: Sequence[RefusingName] = ()) -> Iterator[Lake]:
    """Yield the lake of the settings, in a Spark session that ends with the block.

    On a terminal, what the JVM writes to its standard error goes to a file: it warns about itself at each start.

    Args:
        name: Name of the job.
        locks: The locks that nobody else may hold; they are checked before Spark starts, which takes long.

    Raises:
        LockHeld: Another process holds one of the locks.
        MissingExtra: Spark is not installed.
        JavaMissing: Java is missing, or Spark does not run on its version.
        JarsMissing: The jars of the connectors can't be fetched.
        KeyboardInterrupt: A signal arrived while Spark was starting, or in the block, which is reported.
    """
    from lakehouse.locks import refuse_second_writer
    from lakehouse.logs import configure_logs, log_folder  # imports structlog
    from lakehouse.settings import load_settings

    # On a terminal, the steps and the command's answer say what happens; only warnings are logged there.
    configure_logs(level=logging.WARNING if sys.stderr.isatty() else logging.INFO)
    settings = load_settings()
    refuse_second_writer(settings, *locks)
    errors = log_folder(settings) / SPARK_LOG if sys.stderr.isatty() else None
    with shown_steps(), ExitStack() as session:
        with running("Starting Spark, usually 10 s"):
            from lakehouse.lake import Lake  # imports Spark

            spark = session.enter_context(running_spark(settings, job=name, errors=errors))
        if settings.spark_ui_port is not None:
            typer.echo(f"Spark's pages: {spark.sparkContext.uiWebUrl}", err=True)
        try:
            yield Lake(spark, settings)
        except KeyboardInterrupt:
            typer.echo("Interrupted; the next run completes what this one has begun", err=True)
            raise


@contextmanager
def running_spark(settings: Settings, *, job: str, errors: Path | None = None) -> Iterator[SparkSession]:
    """Yield a Spark session that ends with the block, or with a signal.

    Args:
        settings: The settings.
        job: Part of the application's name.
        errors: A file to append the JVM's standard error to; None for that of this process.

    Raises:
        JavaMissing, JarsMissing: Spark can't be started.
        KeyboardInterrupt: A signal arrived while Spark was starting.
    """
    from lakehouse.logs import stderr_to
    from lakehouse.session import spark_session, stop_session

    # An interrupted start would leave the JVM running. The block also restores our signal handlers: Spark's handler
    # fails the running job, and that error would hide the interruption.
    with (
        stop_on_signals(finishing="a start of Spark") as stop,
        stderr_to(errors) if errors is not None else nullcontext(),
    ):
        spark = spark_session(settings, job=job)
    try:
        if stop.is_set():
            raise KeyboardInterrupt
        yield spark
    finally:
        stop_session(spark)
