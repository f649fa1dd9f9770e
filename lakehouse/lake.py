"""The Delta tables as Spark reads and writes them: the only code that writes rows (`maintenance` moves them)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, Self

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, DataFrameWriter, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)
from pyspark.sql.types import StructType

from lakehouse.error_translation import translate_error
from lakehouse.errors import LakeUnreadable, SchemaDiffers
from lakehouse.offsets import Offsets
from lakehouse.settings import Settings
from lakehouse.tables.model import Table

if TYPE_CHECKING:
    from datetime import date


def struct_type(table: Table) -> StructType:
    """The declared columns as Spark's schema."""
    return StructType.fromJson(json.loads(table.schema_json()))


class Lake:
    """The Delta tables of one lake, as Spark reads and writes them."""

    def __init__(self, spark: SparkSession, settings: Settings) -> None:
        self.spark = spark
        self.settings = settings

    def with_settings(self, **values: Any) -> Self:
        """The lake under settings that differ in these, in the same session."""
        return type(self)(self.spark, self.settings.model_copy(update=values))

    def uri(self, table: Table) -> str:
        """Where the table lies, absolute for a local lake."""
        uri = self.settings.table_uri(table.layer, table.name)
        return uri if "://" in uri else os.path.abspath(uri)  # noqa: PTH100 (resolve() would follow links of the lake)

    def ensure(self, table: Table) -> None:
        """Creates the table where it is missing, and holds a live one against its declaration.

        Raises:
            SchemaDiffers: The live table has other columns; they are named.
            LakeUnreadable: Its log is damaged.
        """
        if not self._can_be_opened(table):
            self._create(table)
            return
        self._forget_lost_commits(table)
        live, declared = self.spark.read.format("delta").load(self.uri(table)).schema, struct_type(table)
        mine = {field.name: field.dataType for field in declared}
        theirs = {field.name: field.dataType for field in live}
        differing = sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
        if differing:
            raise SchemaDiffers(
                f"{table.full_name} differs from its declaration in {', '.join(differing)}",
                hint="Read it with the release that wrote it, or start a new lake with LOGINLAKE_ROOT",
                table=table.full_name,
                columns=differing,
            )

    def exists(self, table: Table) -> bool:
        """True where the table has been created."""
        return bool(DeltaTable.isDeltaTable(self.spark, self.uri(table)))

    def read(self, table: Table, *, version: int | None = None) -> DataFrame:
        """The rows of the table, at a version or as they are now."""
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.load(self.uri(table))

    def changes(self, table: Table, *, after: int, until: int) -> DataFrame:
        """The change feed of the versions in `(after, until]`, with `_change_type`."""
        feed = self.spark.read.format("delta").option("readChangeFeed", "true")
        return feed.option("startingVersion", after + 1).option("endingVersion", until).load(self.uri(table))

    def version(self, table: Table) -> int:
        """The newest version of the table."""
        return int(self.newest(table).version())

    def user_metadata(self, table: Table) -> str | None:
        """The userMetadata of the newest commit, None where it has none."""
        newest = self.commit_info(table, self.version(table)) or {}
        return newest.get("userMetadata")

    def commit_info(self, table: Table, version: int) -> dict[str, Any] | None:
        """What the log says of one commit; None where it lacks that commit, or has it without content.

        Raises:
            LakeUnreadable: The commit is garbled.
        """
        files, path = self._log_file(table, f"{version:020}.json")
        if not files.exists(path):
            return None
        text = self.java("java.io.InputStreamReader")(files.open(path), "UTF-8")
        commit = self.java("java.io.BufferedReader")(text)
        try:
            first = commit.readLine()  # Spark writes it first, however many files follow
        finally:
            commit.close()
        try:
            return dict(json.loads(first).get("commitInfo", {})) if first else None
        except ValueError as error:
            raise LakeUnreadable(
                f"{path.toString()} is garbled",
                hint="Restore it from a copy; if it is the table's last commit, removing it does as well: what it held "
                "is made again",
                table=table.full_name,
            ) from error

    def table_property(self, table: Table, name: str) -> str | None:
        """A table property of our own, None where it is not set."""
        value = self.newest(table).metadata().configuration().get(name)
        return value.get() if value.isDefined() else None

    def set_property(self, table: Table, *, name: str, value: str) -> None:
        """Sets a table property of our own, in a commit of its own."""
        self.spark.sql(f"ALTER TABLE delta.`{self.uri(table)}` SET TBLPROPERTIES ('{name}' = '{value}')")

    def append(self, table: Table, rows: DataFrame, *, user_metadata: str | None = None) -> None:
        """Appends rows in one commit."""
        _writer(table, rows, user_metadata=user_metadata).mode("append").save(self.uri(table))

    def overwrite(self, table: Table, rows: DataFrame, *, user_metadata: str | None = None) -> None:
        """Replaces all rows of a table with partitions in one commit: one file for each."""
        gathered = rows.repartition(*table.partition_by)
        _writer(table, gathered, user_metadata=user_metadata).mode("overwrite").save(self.uri(table))

    def delete(self, table: Table, *, condition: str) -> None:
        """Deletes the rows for which the SQL condition holds: one commit, or none where there are none."""
        DeltaTable.forPath(self.spark, self.uri(table)).delete(condition)

    def replace_days(self, table: Table, rows: DataFrame, *, days: Sequence[date]) -> None:
        """Makes the rows all that a table has of these days, one file for each: one commit.

        Args:
            table: A table partitioned by day.
            rows: Of these days alone.
            days: At least one.
        """
        (day,) = table.partition_by
        replacing = _writer(table, rows.repartition(day), user_metadata=None).mode("overwrite")
        replacing.option("replaceWhere", f"{day} IN ({_day_literals(days)})").save(self.uri(table))

    def was_overwritten(self, table: Table, *, after: int) -> bool:
        """True where a commit after that version replaced all rows."""
        commits = (self.commit_info(table, version) for version in range(after + 1, self.version(table) + 1))
        written = (commit.get("operationParameters", {}) for commit in commits if commit)
        return any(how.get("mode") == "Overwrite" and "predicate" not in how for how in written)

    def replace_rows(self, table: Table, rows: DataFrame, *, lying_in: Iterable[tuple[str, date]]) -> None:
        """Puts the rows in the place of those that have their keys: one MERGE.

        Args:
            table: A table partitioned by a word and a day.
            rows: At most one per key.
            lying_in: The partitions that the rows to be replaced lie in.
        """
        word, day = table.partition_by
        days: dict[str, list[date]] = {}
        for value, on in lying_in:
            days.setdefault(value, []).append(on)
        partitions = " OR ".join(
            f"(live.{word} = '{value}' AND live.{day} IN ({_day_literals(on)}))" for value, on in days.items()
        )
        same_key = " AND ".join(f"live.{name} = new.{name}" for name in table.key)
        (
            DeltaTable.forPath(self.spark, self.uri(table))
            .alias("live")
            .merge(rows.select(*table.column_names).alias("new"), f"({partitions}) AND {same_key}")
            .whenMatchedUpdateAll()
            .execute()
        )

    def java(self, name: str) -> Any:
        """A class of Spark's JVM, by its full name.

        That is one question. The same as attributes of `spark._jvm` asks for each package as well, of which the JVM
        finds out in all of its jars that none is a class: a millisecond.
        """
        return getattr(self.spark._jvm, name)

    def newest(self, table: Table) -> Any:
        """Delta's own snapshot of the newest version: asked in the JVM, it costs no Spark job."""
        none = self.java("scala.Option").empty()
        logs = self.java("org.apache.spark.sql.delta.DeltaLog")
        return logs.forTable(self.spark._jsparkSession, self.uri(table)).update(False, none, none)

    def _can_be_opened(self, table: Table) -> bool:
        """True where the table has been created; what Delta says of a damaged log does not name the table."""
        try:
            return self.exists(table)
        except Exception as error:
            fault = translate_error(error)
            if not isinstance(fault, LakeUnreadable):
                raise
            what = f"{table.full_name} can't be opened: {fault.what}"
            raise LakeUnreadable(what, hint=fault.hint, table=table.full_name) from error

    def _forget_lost_commits(self, table: Table) -> None:
        """Removes the checksums that Hadoop has kept of commits that are gone: beside them no other can be written."""
        version = self.version(table) + 1
        while True:
            files, path = self._log_file(table, f".{version:020}.json.crc")
            if not files.exists(path):
                return
            files.delete(path, False)
            version += 1

    def _log_file(self, table: Table, name: str) -> tuple[Any, Any]:
        """A file of the table's log, and the file system it lies on, as Hadoop has them."""
        path = self.java("org.apache.hadoop.fs.Path")(f"{self.uri(table)}/_delta_log/{name}")
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
            # Commits go when no retained snapshot needs them (lakehouse/maintenance.py), not when they are a month old.
            "delta.enableExpiredLogCleanup": "false",
        }
        for name, value in (defaults | table.properties).items():
            builder = builder.property(name, value)
        builder.execute()


def is_below(offsets: Offsets) -> Column:
    """True for Kafka positions that lie below the next offset of their partition; other partitions are not below."""
    positions: Iterable[Column] = (
        (F.col("topic") == topic) & (F.col("partition") == partition) & (F.col("offset") < offset)
        for (topic, partition), offset in offsets.items()
    )
    return reduce(lambda first, second: first | second, positions, F.lit(False))


def semi_join(rows: DataFrame, keys: DataFrame, *, on: Sequence[str]) -> DataFrame:
    """Return the rows whose key is among the keys; null equals null."""
    return _null_safe_join(rows, keys, on=on, how="left_semi")


def anti_join(rows: DataFrame, keys: DataFrame, *, on: Sequence[str]) -> DataFrame:
    """Return the rows whose key is not among the keys; null equals null."""
    return _null_safe_join(rows, keys, on=on, how="left_anti")


def _null_safe_join(rows: DataFrame, keys: DataFrame, *, on: Sequence[str], how: str) -> DataFrame:
    renamed = keys.select(*(F.col(name).alias(f"key_{name}") for name in on))
    return rows.join(renamed, [F.col(f"key_{name}").eqNullSafe(F.col(name)) for name in on], how)


def _day_literals(days: Iterable[date]) -> str:
    return ", ".join(f"DATE'{day.isoformat()}'" for day in days)


def _writer(table: Table, rows: DataFrame, *, user_metadata: str | None) -> DataFrameWriter:
    writer = rows.select(*table.column_names).write.format("delta")
    return writer if user_metadata is None else writer.option("userMetadata", user_metadata)
