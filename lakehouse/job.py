"""A job as a process: logs, settings and a Spark session around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lakehouse.entrypoint import stop_on_signals

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.lake import Lake
    from lakehouse.settings import Settings


@contextmanager
def spark_job(name: str) -> Iterator[Lake]:
    """The lake that the settings name, in a Spark session that ends with the block.

    Raises:
        MissingExtra: This install has no Spark.
        JavaMissing: No Java that Spark runs on.
        JarsMissing: The connectors' jars can't be had.
        KeyboardInterrupt: A signal came while Spark was starting.
    """
    from lakehouse.lake import Lake
    from lakehouse.logs import configure_logs
    from lakehouse.settings import load_settings

    configure_logs()
    settings = load_settings()
    with running_spark(settings, job=name) as spark:
        yield Lake(spark, settings)


@contextmanager
def running_spark(settings: Settings, *, job: str) -> Iterator[SparkSession]:
    """A Spark session for the block, which a signal ends as it ends everything else.

    Raises:
        JavaMissing, JarsMissing: It can't be started.
        KeyboardInterrupt: A signal came while it was starting.
    """
    from lakehouse.session import spark_session

    # A JVM whose start is interrupted would stay behind. Afterwards our handlers are back, not the one that Spark
    # sets: it fails the running job, whose error would hide that a person wanted the end.
    with stop_on_signals() as stop:
        spark = spark_session(settings, job=job)
    try:
        if stop.is_set():
            raise KeyboardInterrupt
        yield spark
    finally:
        spark.stop()
