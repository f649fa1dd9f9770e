"""A Spark job as a process: its logs, settings and session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lakehouse.entrypoint import stop_on_signals

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.lake import Lake
    from lakehouse.locks import WriterName
    from lakehouse.settings import Settings


@contextmanager
def spark_job(name: str, *, locks: Sequence[WriterName] = ()) -> Iterator[Lake]:
    """Yield the lake of the settings, in a Spark session that ends with the block.

    Args:
        name: Name of the job.
        locks: The locks that the job will take; they are checked before Spark starts, which takes long.

    Raises:
        LockHeld: Another process holds one of the locks.
        MissingExtra: Spark is not installed.
        JavaMissing: Java is missing, or Spark does not run on its version.
        JarsMissing: The jars of the connectors can't be fetched.
        KeyboardInterrupt: A signal arrived while Spark was starting.
    """
    from lakehouse.locks import refuse_second_writer
    from lakehouse.logs import configure_logs
    from lakehouse.settings import load_settings

    configure_logs()
    settings = load_settings()
    refuse_second_writer(settings, *locks)
    from lakehouse.lake import Lake  # imports Spark

    with running_spark(settings, job=name) as spark:
        yield Lake(spark, settings)


@contextmanager
def running_spark(settings: Settings, *, job: str) -> Iterator[SparkSession]:
    """Yield a Spark session that ends with the block, or with a signal.

    Raises:
        JavaMissing, JarsMissing: Spark can't be started.
        KeyboardInterrupt: A signal arrived while Spark was starting.
    """
    from lakehouse.session import spark_session

    # An interrupted start would leave the JVM running. The block also restores our signal handlers: Spark's handler
    # fails the running job, and that error would hide the interruption.
    with stop_on_signals(finishing="the start of Spark") as stop:
        spark = spark_session(settings, job=job)
    try:
        if stop.is_set():
            raise KeyboardInterrupt
        yield spark
    finally:
        spark.stop()
