"""Maintenance of Delta tables: compact small files, and remove files and commits that no retained version needs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import structlog
from delta.tables import DeltaTable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from lakehouse.fragments import FRAGMENTS, SMALL_BYTES, Fragmented
from lakehouse.lake import CHECKPOINTS, Lake
from lakehouse.steps import step
from lakehouse.tables.model import Table

log = structlog.get_logger()

PARTITIONS_PER_COMMIT = 100
LOG_FILE = re.compile(r"\.?(\d{20})\.")


def fragmented_partitions(lake: Lake, table: Table) -> list[Fragmented]:
    """Return the partitions of the table that should be compacted."""
    files = DataFrame(lake.delta_snapshot(table).allFiles().toDF(), lake.spark)
    small = files.where(F.col("size") < SMALL_BYTES).groupBy(F.to_json("partitionValues").alias("partition"))
    counted = small.agg(F.count("*").alias("files"), F.sum("size").alias("size")).where(F.col("files") >= FRAGMENTS)
    return [Fragmented(json.loads(row["partition"]), row["files"], row["size"]) for row in counted.collect()]


@step("Compacting")
def compact(lake: Lake, table: Table) -> int:
    """Rewrite fragmented partitions into few files; neither the rows nor the change feed change.

    Returns:
        The number of small files before.
    """
    partitions = fragmented_partitions(lake, table)
    for first in range(0, len(partitions), PARTITIONS_PER_COMMIT):
        lake.renew_lock(table)
        optimized = DeltaTable.forPath(lake.spark, lake.uri(table)).optimize()
        if table.partition_by:
            optimized = optimized.where(_condition(partitions[first : first + PARTITIONS_PER_COMMIT]))
        optimized.executeCompaction()
    files = sum(partition.files for partition in partitions)
    if files:
        log.info("table_compacted", table=table.full_name, files=files)
    return files


@step("Removing files")
def vacuum(lake: Lake, table: Table, *, hours: float | None = None) -> None:
    """Remove files that left the table more than some hours ago, and files of crashed writers.

    The caller holds the lock of the table's writers, since no commit names a file that is just being written.

    Args:
        lake: The lake.
        table: The table.
        hours: By default the table's property delta.deletedFileRetentionDuration.
    """
    lake.renew_lock(table)
    # Delta prints what it has removed, but standard output is for results.
    getattr(lake.java_class("scala.Console$"), "MODULE$").setOutDirect(lake.java_class("java.lang.System").err)
    DeltaTable.forPath(lake.spark, lake.uri(table)).vacuum(hours)


@step("Removing files")
def remove_unneeded(lake: Lake, table: Table, *, needed: int) -> int:
    """Remove the data files that no version from `needed` on contains, and files of crashed writers.

    Only the Delta log decides, not the age of files. The caller holds the lock of the table's writers, since no commit
    names a file that is just being written.

    Returns:
        The number of removed files.
    """
    folder = lake.uri(table)
    reader = lake.spark.read.schema("add struct<path: string>, cdc struct<path: string>")
    files = _data_files(lake, folder)
    commits = reader.option("pathGlobFilter", "*.json").json(f"{folder}/_delta_log")
    later = commits.where(F.left("_metadata.file_name", F.lit(20)).cast("long") > needed)
    added = later.select(F.explode(F.array("add.path", "cdc.path")).alias("path")).where("path is not null").collect()
    # File names are unique, since a writer generates new ones.
    kept = {_name(path) for path in lake.read(table, version=needed).inputFiles()} | {_name(row.path) for row in added}
    unneeded = [path for path in files if _name(path) not in kept]
    # Another writer's files, not yet in a commit, can't be among them: there was none until now.
    lake.renew_lock(table)
    for path in unneeded:
        file = _path(lake, path)
        file.getFileSystem(_hadoop(lake)).delete(file, False)
    return len(unneeded)


def trim_log(lake: Lake, table: Table, *, needed: int) -> int:
    """Remove the commits that no version from `needed` on is read from.

    A version is read from the newest checkpoint at or below it and the commits since then. The oldest commits are
    removed first, so that an interruption leaves a log without gaps.

    Returns:
        The number of removed files.
    """
    newest = lake.delta_snapshot(table)
    folder = newest.deltaLog().logPath()
    if newest.version() == needed:
        newest.deltaLog().checkpoint()
    system = folder.getFileSystem(newest.deltaLog().newDeltaHadoopConf())
    names = sorted(status.getPath().getName() for status in system.listStatus(folder))
    checkpoints = [_version(name) for name in names if name.endswith(".checkpoint.parquet")]
    lake.renew_lock(table)
    base = max((version for version in checkpoints if version <= needed), default=0)
    superseded = [name for name in names if LOG_FILE.match(name) and _version(name) < base]
    for name in superseded:
        system.delete(_path(lake, folder, name), False)
    return len(superseded)


def remove_old_checkpoints(lake: Lake, *, before: datetime) -> int:
    """Remove the checkpoints of jobs that were killed: their folders without a file written since an instant.

    Returns:
        The number of removed folders.
    """
    root = _path(lake, lake.folder_uri(CHECKPOINTS))
    files = root.getFileSystem(_hadoop(lake))
    if not files.exists(root):
        return 0
    folders = [status.getPath() for status in files.listStatus(root)]
    old = [folder for folder in folders if _last_written(files, folder) < before.timestamp()]
    for folder in old:
        files.delete(folder, True)
    return len(old)


def size_of(lake: Lake, table: Table) -> int:
    """Return the bytes of all files in the table's folder, with its log and the files it no longer names."""
    folder = _path(lake, lake.uri(table))
    summary = folder.getFileSystem(lake.delta_snapshot(table).deltaLog().newDeltaHadoopConf()).getContentSummary(folder)
    return int(summary.getLength())


def _data_files(lake: Lake, folder: str) -> list[str]:
    """Return all data files in the folder of a table, with those of its change feed."""
    listing = lake.spark.read.format("binaryFile").option("recursiveFileLookup", value=True)
    changes = _path(lake, folder, "_change_data")
    folders = [folder, *([str(changes)] if changes.getFileSystem(_hadoop(lake)).exists(changes) else [])]
    return [row.path for row in listing.option("pathGlobFilter", "*.parquet").load(folders).select("path").collect()]


def _last_written(files: Any, folder: Any) -> float:
    """Return when the newest file below a folder was written, in seconds since the epoch; 0 if there is none."""
    statuses, newest = files.listFiles(folder, True), 0
    while statuses.hasNext():
        newest = max(newest, statuses.next().getModificationTime())
    return newest / 1000


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _hadoop(lake: Lake) -> Any:
    return lake.spark._jsparkSession.sessionState().newHadoopConf()


def _condition(partitions: Sequence[Fragmented]) -> str:
    return " OR ".join(f"({' AND '.join(_equals(partition.values))})" for partition in partitions)


def _equals(values: dict[str, str]) -> Iterator[str]:
    return (f"{column} = '{value}'" for column, value in sorted(values.items()))


def _version(name: str) -> int:
    matched = LOG_FILE.match(name)
    return int(matched[1]) if matched else -1


def _path(lake: Lake, *parts: Any) -> Any:
    return lake.java_class("org.apache.hadoop.fs.Path")(*parts)
