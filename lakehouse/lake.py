"""The Delta tables of a lake, as Spark reads and writes them.

No other module writes rows; `lakehouse.maintenance` rewrites and deletes files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import structlog
from delta.exceptions import ConcurrentTransactionException
from delta.tables import DeltaTable
from pyspark.sql import DataFrame, DataFrameWriter, SparkSession
from pyspark.sql.types import StructField, StructType

from lakehouse.error_translation import translate_error
from lakehouse.errors import LakeUnreadable
from lakehouse.leases import lease_of
from lakehouse.schema import missing_columns, struct_type, with_declared_columns
from lakehouse.settings import Settings
from lakehouse.tables.model import ADDED_COLUMN, Table

if TYPE_CHECKING:
    from datetime import date

log = structlog.get_logger()

# Folder of the lake in which each job on a cluster stores what must not be computed twice, in a folder of its own.
CHECKPOINTS = "_checkpoints"
# Delta's names of the operations that change rows.
CHANGING = ("WRITE", "DELETE", "UPDATE", "MERGE", "RESTORE")


class Lake:
    """The Delta tables of one lake, in one Spark session."""

    def __init__(self, spark: SparkSession, settings: Settings) -> None:
        self.spark = spark
        self.settings = settings

    def with_settings(self, **values: Any) -> Self:
        """Return the lake with some settings changed, in the same session."""
        return type(self)(self.spark, self.settings.model_copy(update=values))

    def uri(self, table: Table) -> str:
        """Return the location of the table, absolute for a local lake."""
        return self.folder_uri(table.layer, table.name)

    def folder_uri(self, *names: str) -> str:
        """Return the location of a folder below the lake's root, absolute for a local lake."""
        uri = "/".join((self.settings.root.rstrip("/"), *names))
        return uri if "://" in uri else os.path.abspath(uri)  # noqa: PTH100 (resolve() would follow links of the lake)

    # Tables and their columns

    def ensure(self, table: Table) -> None:
        """Create the table if it is missing, and add the declared columns that a live one lacks.

        Only the job that holds the lock of the table's writers may call this.

        Raises:
            SchemaDiffers: The live table has a column of another type, or one that is not declared.
            LakeUnreadable: The log of the table is damaged.
        """
        if not self.exists(table):
            self._create(table)
            return
        self._remove_checksums_of_lost_commits(table)
        if missing := missing_columns(table, self._live_schema(table)):
            self._add_columns(table, missing)

    def check_schema(self, table: Table) -> None:
        """Raise if the live table can't be read by its declaration; columns that it lacks are read as null.

        Raises:
            SchemaDiffers: The live table has a column of another type, or one that is not declared.
        """
        missing_columns(table, self._live_schema(table))

    def exists(self, table: Table) -> bool:
        """Return True if the table has been created.

        Raises:
            LakeUnreadable: The log of the table is damaged.
        """
        try:
            return bool(DeltaTable.isDeltaTable(self.spark, self.uri(table)))
        except Exception as error:  # Delta's own message does not name the table
            translated = translate_error(error)
            if not isinstance(translated, LakeUnreadable):
                raise
            what = f"{table.full_name} can't be opened: {translated.what}"
            raise LakeUnreadable(what, hint=translated.hint, table=table.full_name) from error

    def table_property(self, table: Table, name: str) -> str | None:
        """Return a property of the table; None if it is not set."""
        value = self.delta_snapshot(table).metadata().configuration().get(name)
        return value.get() if value.isDefined() else None

    def set_property(self, table: Table, *, name: str, value: str) -> None:
        """Set a property of the table, in a commit of its own."""
        self.spark.sql(f"ALTER TABLE delta.`{self.uri(table)}` SET TBLPROPERTIES ('{name}' = '{value}')")

    # Rows

    def read(self, table: Table, *, version: int | None = None) -> DataFrame:
        """Return the rows of the table at a version, by default the newest.

        They have the declared columns in the declared order; a column that the version lacks is null.
        """
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return with_declared_columns(table, reader.load(self.uri(table)))

    def changes(self, table: Table, *, after: int, until: int) -> DataFrame:
        """Return the change feed of the versions in `(after, until]`, with the column `_change_type`.

        A column that a version lacks is null in its changes.
        """
        feed = self.spark.read.format("delta").option("readChangeFeed", "true")
        feed = feed.option("startingVersion", after + 1).option("endingVersion", until)
        changes = feed.load(self.uri(table)).drop("_commit_version", "_commit_timestamp")
        return with_declared_columns(table, changes, more=("_change_type",))

    def append(self, table: Table, rows: DataFrame, *, user_metadata: str | None = None) -> None:
        """Append rows in one commit.

        Raises:
            LockLost: The lease of the lock on S3 has expired, and another process may have written.
        """
        self._save(table, _writer(table, rows, user_metadata=user_metadata).mode("append"))

    def overwrite(self, table: Table, rows: DataFrame, *, user_metadata: str | None = None) -> None:
        """Replace all rows of a partitioned table in one commit, with one file per partition.

        Raises:
            LockLost: The lease of the lock on S3 has expired, and another process may have written.
        """
        gathered = rows.repartition(*table.partition_by)
        self._save(table, _writer(table, gathered, user_metadata=user_metadata).mode("overwrite"))

    def checkpoint(self, rows: DataFrame) -> DataFrame:
        """Compute rows now and return them; later writes to the tables that they are computed from don't change them.

        On a cluster they are stored in the lake: the memory and the disks of executors are lost with them. Their folder
        is removed when the session ends (lakehouse/session.py); `loginlake maintain` removes those of killed jobs.
        """
        if not self.settings.is_on_cluster:
            return rows.localCheckpoint()
        context = self.spark.sparkContext
        if context.getCheckpointDir() is None:
            context.setCheckpointDir(self.folder_uri(CHECKPOINTS))
        return rows.checkpoint()

    def restore(self, table: Table, *, version: int) -> None:
        """Make the rows and the columns of the table those of an earlier version, in one commit."""
        self.renew_lock(table)
        DeltaTable.forPath(self.spark, self.uri(table)).restoreToVersion(version)

    def delete(self, table: Table, *, condition: str) -> None:
        """Delete the rows that match a SQL condition, in one commit; without such rows nothing is committed."""
        self.renew_lock(table)
        DeltaTable.forPath(self.spark, self.uri(table)).delete(condition)

    def replace_days(self, table: Table, rows: DataFrame, *, days: Sequence[date]) -> None:
        """Replace all rows of some days in one commit, with one file per day.

        Args:
            table: A table partitioned by day.
            rows: The new rows, all of these days.
            days: At least one day.

        Raises:
            LockLost: The lease of the lock on S3 has expired, and another process may have written.
        """
        (day,) = table.partition_by
        replacing = _writer(table, rows.repartition(day), user_metadata=None).mode("overwrite")
        self._save(table, replacing.option("replaceWhere", f"{day} IN ({_day_literals(days)})"))

    def update_rows(self, table: Table, rows: DataFrame, *, partitions: Iterable[tuple[str, date]]) -> None:
        """Replace the rows with the same keys, by one MERGE; rows with other keys are not inserted.

        Args:
            table: A table partitioned by a text column and a day.
            rows: The new rows, at most one per key.
            partitions: The partitions that the rows to replace are in now.
        """
        text, day = table.partition_by
        days: dict[str, list[date]] = {}
        for value, on in partitions:
            days.setdefault(value, []).append(on)
        in_partitions = " OR ".join(
            f"(live.{text} = '{value}' AND live.{day} IN ({_day_literals(on)}))" for value, on in days.items()
        )
        same_key = " AND ".join(f"live.{name} = new.{name}" for name in table.key)
        self.renew_lock(table)
        (
            DeltaTable.forPath(self.spark, self.uri(table))
            .alias("live")
            .merge(rows.select(*table.column_names).alias("new"), f"({in_partitions}) AND {same_key}")
            .whenMatchedUpdateAll()
            .execute()
        )

    def renew_lock(self, table: Table) -> None:
        """Renew the lease under which the job writes the table; a lock of a file needs no renewal.

        Raises:
            LockLost: The lease of the lock on S3 has expired, and another process may have written.
        """
        lease = lease_of(self.settings, table)
        if lease is not None:
            lease.renew()

    def _save(self, table: Table, writer: DataFrameWriter) -> None:
        """Commit rows; under a lease, only if no later holder of the lock has committed to the table."""
        lease = lease_of(self.settings, table)
        if lease is None:
            writer.save(self.uri(table))
            return
        fence = lease.next_fence()
        try:
            writer.options(txnAppId=lease.transaction, txnVersion=fence).save(self.uri(table))
        except ConcurrentTransactionException as error:
            raise lease.lost() from error
        # Delta skips a commit without an error if the table has a higher number.
        committed = self.delta_snapshot(table).transactions().get(lease.transaction)
        if not committed.isDefined() or committed.get() != fence:
            raise lease.lost()

    # Versions and commits

    def version(self, table: Table) -> int:
        """Return the newest version of the table."""
        return int(self.delta_snapshot(table).version())

    def user_metadata(self, table: Table) -> str | None:
        """Return the userMetadata of the newest commit; None if it has none."""
        newest = self.commit_info(table, self.version(table)) or {}
        return newest.get("userMetadata")

    def commit_info(self, table: Table, version: int) -> dict[str, Any] | None:
        """Return the `commitInfo` of a commit; None if the log lacks the commit, or its file is empty.

        Raises:
            LakeUnreadable: The commit's file is not JSON.
        """
        files, path = self._log_file(table, f"{version:020}.json")
        if not files.exists(path):
            return None
        text = self.java_class("java.io.InputStreamReader")(files.open(path), "UTF-8")
        commit = self.java_class("java.io.BufferedReader")(text)
        try:
            first = commit.readLine()  # Spark writes it first, however many files follow
        finally:
            commit.close()
        try:
            return dict(json.loads(first).get("commitInfo", {})) if first else None
        except ValueError as error:
            raise LakeUnreadable(
                f"{path.toString()} is damaged: it is not JSON",
                hint="Restore it from a copy; if it is the table's last commit, you can also delete it: the next job "
                "writes its rows again",
                table=table.full_name,
            ) from error

    def was_overwritten(self, table: Table, *, after: int) -> bool:
        """Return True if a commit later than the version `after` replaced all rows."""
        commits = (self.commit_info(table, version) for version in range(after + 1, self.version(table) + 1))
        parameters = (commit.get("operationParameters", {}) for commit in commits if commit)
        return any(each.get("mode") == "Overwrite" and "predicate" not in each for each in parameters)

    def was_written(self, table: Table, *, after: int) -> bool:
        """Return True if a commit later than the version `after` changed rows; maintenance does not."""
        commits = (self.commit_info(table, version) for version in range(after + 1, self.version(table) + 1))
        return any(commit.get("operation") in CHANGING for commit in commits if commit)

    # Spark's JVM

    def java_class(self, name: str) -> Any:
        """Return a class of Spark's JVM by its full name.

        This takes one call. As attributes of `spark._jvm` each package takes one more, which searches all jars for a
        class of that name: a millisecond.
        """
        return getattr(self.spark._jvm, name)

    def delta_snapshot(self, table: Table) -> Any:
        """Return Delta's own `Snapshot` object of the newest version; read in the JVM, it takes no Spark job."""
        none = self.java_class("scala.Option").empty()
        logs = self.java_class("org.apache.spark.sql.delta.DeltaLog")
        return logs.forTable(self.spark._jsparkSession, self.uri(table)).update(False, none, none)

    def _live_schema(self, table: Table) -> StructType:
        return StructType.fromJson(json.loads(self.delta_snapshot(table).schema().json()))

    def _remove_checksums_of_lost_commits(self, table: Table) -> None:
        """Delete Hadoop's checksums of commits that were lost: beside one, no commit of that version can be written."""
        version = self.version(table) + 1
        while True:
            files, path = self._log_file(table, f".{version:020}.json.crc")
            if not files.exists(path):
                return
            files.delete(path, False)
            version += 1

    def _log_file(self, table: Table, name: str) -> tuple[Any, Any]:
        """Return Hadoop's file system and path of a file of the table's log."""
        path = self.java_class("org.apache.hadoop.fs.Path")(f"{self.uri(table)}/_delta_log/{name}")
        return path.getFileSystem(self.spark._jsparkSession.sessionState().newHadoopConf()), path

    def _create(self, table: Table) -> None:
        builder = DeltaTable.createIfNotExists(self.spark).location(self.uri(table)).addColumns(struct_type(table))
        builder = builder.comment(table.grain)
        if table.partition_by:
            builder = builder.partitionedBy(*table.partition_by)
        defaults = {
            "delta.checkpointInterval": "20",
            # Statistics of all columns are the larger part of planning small queries.
            "delta.dataSkippingStatsColumns": ",".join(table.key),
            # lakehouse/maintenance.py removes the commits that no retained snapshot needs, whatever their age.
            "delta.enableExpiredLogCleanup": "false",
        }
        for name, value in (defaults | table.properties).items():
            builder = builder.property(name, value)
        builder.execute()

    def _add_columns(self, table: Table, missing: Sequence[StructField]) -> None:
        columns = ", ".join(
            f"`{column.name}` {column.dataType.simpleString()} COMMENT '{ADDED_COLUMN}'" for column in missing
        )
        self.spark.sql(f"ALTER TABLE delta.`{self.uri(table)}` ADD COLUMNS ({columns})")
        log.info("columns_added", table=table.full_name, columns=[column.name for column in missing])


def _day_literals(days: Iterable[date]) -> str:
    return ", ".join(f"DATE'{day.isoformat()}'" for day in days)


def _writer(table: Table, rows: DataFrame, *, user_metadata: str | None) -> DataFrameWriter:
    # Each column of a select is several calls to the JVM, and a refresh writes ten tables.
    declared = rows if rows.columns == list(table.column_names) else rows.select(*table.column_names)
    writer = declared.write.format("delta")
    return writer if user_metadata is None else writer.option("userMetadata", user_metadata)
