"""The Spark session of a process, and concurrent queries in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pyspark import inheritable_thread_target
from pyspark.sql import SparkSession

from lakehouse.conf import conf_folder
from lakehouse.jars import jar_paths
from lakehouse.java import java_path
from lakehouse.settings import Settings

Result = TypeVar("Result")

# A refresh runs about a hundred jobs. Without pages, `spark-defaults.conf` keeps only a few.
RETAINED_FOR_PAGES = "1000"


def spark_session(settings: Settings, *, job: str) -> SparkSession:
    """Return the Spark session of this process, with Delta and Kafka on its class path.

    Args:
        settings: The settings, which name the master and the folder of `spark-defaults.conf`.
        job: Part of the application's name.

    Raises:
        JavaMissing: Java is missing, or Spark does not run on its version.
        JarsMissing: The jars of the connectors can't be fetched.
    """
    java_path()
    os.environ["SPARK_CONF_DIR"] = str(conf_folder(settings))
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    jars = ",".join(str(jar) for jar in jar_paths(settings, "spark"))
    scratch = settings.state.resolve() / "spark"
    session: SparkSession = (
        SparkSession.builder.appName(f"loginlake {job}")
        .master(settings.spark_master)
        .config("spark.jars", jars)
        .config("spark.local.dir", str(scratch))
        .config("spark.sql.warehouse.dir", str(scratch / "warehouse"))
        .config(map=page_settings(settings))
        .getOrCreate()
    )
    return session


def page_settings(settings: Settings) -> dict[str, str | bool | int | float | None]:
    """Return the Spark settings of its web pages; none if they are off, as in `spark-defaults.conf`.

    The pages only show: nobody can end a job there. If the port is taken, Spark uses the next free one.
    """
    if settings.spark_ui_port is None:
        return {}
    return {
        "spark.ui.enabled": "true",
        "spark.ui.port": str(settings.spark_ui_port),
        "spark.ui.killEnabled": "false",
        "spark.ui.retainedJobs": RETAINED_FOR_PAGES,
        "spark.ui.retainedStages": RETAINED_FOR_PAGES,
        "spark.sql.ui.retainedExecutions": RETAINED_FOR_PAGES,
    }


def run_concurrently(spark: SparkSession, *tasks: Callable[[], Result]) -> list[Result]:
    """Run the tasks concurrently in the caller's scheduler pool and return their results in order.

    If a task fails, its error is raised after all tasks have ended. Small queries gain from this: most of their time is
    planning, which uses one thread.
    """
    with ThreadPoolExecutor(len(tasks)) as threads:
        running = [threads.submit(inheritable_thread_target(spark)(task)) for task in tasks]
    return [task.result() for task in running]
