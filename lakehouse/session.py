"""The Spark session of a process, and concurrent queries in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from zipfile import ZIP_DEFLATED, ZipFile

import structlog
from py4j.protocol import Py4JError
from pyspark import inheritable_thread_target
from pyspark.sql import SparkSession

from lakehouse import s3
from lakehouse.cluster import is_standalone, require_executor, require_master
from lakehouse.conf import conf_folder
from lakehouse.errors import ClusterFailed
from lakehouse.jars import jar_paths, job_groups
from lakehouse.java import java_path
from lakehouse.settings import Settings

log = structlog.get_logger()

Result = TypeVar("Result")

# What functions in Spark's Python workers import of ours.
EXECUTOR_PACKAGES = ("lakehouse", "silver", "gold")
# A refresh runs about a hundred jobs. Without pages, `spark-defaults.conf` keeps only a few.
RETAINED_FOR_PAGES = "1000"


def spark_session(settings: Settings, *, job: str) -> SparkSession:
    """Return the Spark session of this process, with Delta and Kafka on its class path, and S3 if the lake is there.

    Args:
        settings: The settings, which name the master and the folder of `spark-defaults.conf`.
        job: Part of the application's name.

    Raises:
        JavaMissing: Java is missing, or Spark does not run on its version.
        JarsMissing: The jars of the connectors can't be fetched.
        ClusterFailed: The master of the cluster does not listen, or it starts no executor.
    """
    java_path()
    require_master(settings)
    scratch = settings.state.resolve() / "spark"
    os.environ["SPARK_CONF_DIR"] = str(conf_folder(settings))
    os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    if settings.is_on_cluster:
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        os.environ["SPARK_LOCAL_DIRS"] = str(scratch)  # of the driver; the setting would also hold for executors
    else:
        os.environ["PYSPARK_PYTHON"] = sys.executable
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    jars = ",".join(str(jar) for group in job_groups(settings) for jar in jar_paths(settings, group))
    placement = cluster_settings(settings) if settings.is_on_cluster else {"spark.local.dir": str(scratch)}
    session: SparkSession = (
        SparkSession.builder.appName(f"loginlake {job}")
        .master(settings.spark_master)
        .config("spark.jars", jars)
        .config("spark.sql.warehouse.dir", str(scratch / "warehouse"))
        .config(map={**page_settings(settings), **s3.spark_options(settings), **placement})
        .getOrCreate()
    )
    if settings.is_on_s3:
        jar = add_log_store(session, folder=scratch)
        if settings.is_on_cluster:
            session.sparkContext._jsc.addJar(str(jar))
    if settings.is_on_cluster:
        session.sparkContext.addPyFile(str(package_archive(scratch)))
    if is_standalone(settings):
        try:
            require_executor(session)
        except ClusterFailed:
            stop_session(session)
            raise
    return session


def stop_session(spark: SparkSession) -> None:
    """Stop the session, and then remove the checkpoints that it has stored in the lake for its executors."""
    # In a thread of its own, since each thread has a connection of its own to the JVM: after Ctrl-C in the middle of a
    # call, that of this thread may still be closing.
    ThreadPoolExecutor(max_workers=1).submit(_stop_session, spark).result()


def _stop_session(spark: SparkSession) -> None:
    context = spark.sparkContext
    folder, hadoop = context.getCheckpointDir(), context._jsc.hadoopConfiguration()
    spark.stop()
    if folder is None:
        return
    try:
        path = spark._jvm.org.apache.hadoop.fs.Path(folder)  # type: ignore[union-attr]
        path.getFileSystem(hadoop).delete(path, True)
    except (Py4JError, OSError) as error:  # the store may be what the job failed on
        log.warning("checkpoints_not_removed", folder=folder, error=str(error).partition("\n")[0])


def add_log_store(spark: SparkSession, *, folder: Path) -> Path:
    """Compile `ConditionalLogStore.java` into a jar, and add it to the driver's class path: the driver commits.

    Returns:
        The jar. Executors need it too: where files are removed, they list those of the table by this class.
    """
    jvm = spark._jvm
    loader = jvm.org.apache.spark.util.Utils.getContextOrSparkClassLoader()  # type: ignore[union-attr]
    compiler = jvm.org.codehaus.janino.SimpleCompiler()  # type: ignore[union-attr]
    compiler.setParentClassLoader(loader)
    compiler.cook(Path(__file__).with_name("ConditionalLogStore.java").read_text())
    jar = folder / "log-store.jar"
    with replaced_archive(jar) as classes:
        for name, code in compiler.getBytecodes().items():
            classes.writestr(f"{name.replace('.', '/')}.class", code)
    loader.addURL(jvm.java.io.File(str(jar)).toURI().toURL())  # type: ignore[union-attr]
    return jar


def cluster_settings(settings: Settings) -> dict[str, str]:
    """Return the Spark settings of `spark-cluster.conf`, in the format of `spark-defaults.conf`."""
    lines = (conf_folder(settings) / "spark-cluster.conf").read_text().splitlines()
    pairs = (line.split(maxsplit=1) for line in lines if line.strip() and not line.startswith("#"))
    return {name: value.strip() for name, value in pairs}


def package_archive(folder: Path) -> Path:
    """Write a zip file of our packages that executors import, and return its path.

    Executors import it before packages of their own: they always run the code of their driver.
    """
    archive, packages = folder / "packages.zip", Path(__file__).parent.parent
    with replaced_archive(archive) as content:
        for name in EXECUTOR_PACKAGES:
            for file in sorted((packages / name).rglob("*")):
                if file.is_file() and file.suffix != ".pyc":
                    content.write(file, file.relative_to(packages))
    return archive


@contextmanager
def replaced_archive(path: Path) -> Iterator[ZipFile]:
    """Yield a zip file to write; at the end it replaces an earlier one, which another driver may be reading."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f"{path.name}.{os.getpid()}")
    with ZipFile(written, "w", ZIP_DEFLATED) as content:
        yield content
    written.replace(path)


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
