"""A standalone Spark cluster: does its master listen, and does it give executors?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse.addresses import is_listening
from lakehouse.errors import ClusterFailed
from lakehouse.settings import Settings
from lakehouse.waiting import wait_until

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

STANDALONE = "spark://"
EXECUTOR_SECONDS = 60.0


def is_standalone(settings: Settings) -> bool:
    """Return whether the settings name a standalone cluster."""
    return settings.spark_master.startswith(STANDALONE)


def require_master(settings: Settings) -> None:
    """Raise if no master of a standalone cluster listens: Spark would try for a minute, and end without a reason.

    Raises:
        ClusterFailed: No master listens.
    """
    if not is_standalone(settings):
        return
    masters = settings.spark_master
    addresses = (master.rpartition(":") for master in masters.removeprefix(STANDALONE).split(","))
    if not any(port.isdigit() and is_listening(host, int(port)) for host, _, port in addresses):
        raise ClusterFailed(
            f"No Spark master listens at {masters}", hint="Start it, or correct LOGINLAKE_SPARK_MASTER", master=masters
        )


def require_executor(spark: SparkSession, *, seconds: float = EXECUTOR_SECONDS) -> None:
    """Wait until the session has an executor, and raise if it gets none: Spark would wait for one without end.

    Raises:
        ClusterFailed: No executor has started within these seconds.
    """
    tracker = spark.sparkContext._jsc.sc().statusTracker()

    def has_executor() -> bool:
        return len(tracker.getExecutorInfos()) > 1  # the first is the driver

    if not wait_until(has_executor, seconds=seconds):
        raise ClusterFailed(
            f"The cluster has started no executor within {seconds:g} s",
            hint="Look at the page of its master: are there workers, with a free core and enough free memory "
            "(spark.executor.memory in conf/spark-cluster.conf), or does another job use all of them?",
        )
