"""DuckDB as the independent engine: tables loaded from Arrow, and two of them compared cell by cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import polars as pl
import pyarrow as pa

from lakehouse.errors import LakehouseError, LakeUnreadable
from lakehouse.tables.model import Table
from loginlake.verify.report import NAMED
from serving.integrity import reading

CHUNK_ROWS = 20_000


@dataclass(frozen=True)
class Difference:
    """Where two tables differ.

    Attributes:
        rows: How many rows were compared.
        differing: How many of them differ.
        named: The first of them: what the row is, and which columns differ.
    """

    rows: int
    differing: int
    named: list[str]


class EngineFailed(LakehouseError):
    """DuckDB could not do its work."""


class Watched:
    """An iterator that keeps what it raises: DuckDB turns that into an error of its own."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self.raised: BaseException | None = None

    def __iter__(self) -> Watched:
        return self

    def __next__(self) -> pa.RecordBatch:
        """The next batch."""
        try:
            return next(self._batches)
        except StopIteration:
            raise
        except BaseException as error:
            self.raised = error
            raise


@contextmanager
def _computing() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise EngineFailed(
            f"DuckDB could not compute the lake again: {str(error).splitlines()[0]}",
            hint="See that the folder for temporary files has room (TMPDIR names another)",
        ) from error


class Engine:
    """A DuckDB of its own, on disk so that memory bounds no lake."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def run(self, statement: str) -> None:
        """Runs a statement.

        Raises:
            EngineFailed: It could not be run.
        """
        with _computing():
            self._connection.execute(statement)

    def rows(self, query: str) -> Iterator[tuple[object, ...]]:
        """The rows of a query.

        Raises:
            EngineFailed: It could not be run.
        """
        with _computing():
            answer = self._connection.execute(query)
            while rows := answer.fetchmany(CHUNK_ROWS):
                yield from rows

    def count(self, query: str) -> int:
        """The one number that a query gives.

        Raises:
            EngineFailed: It could not be run.
        """
        with _computing():
            ((number,),) = self._connection.execute(query).fetchall()
        return int(number)

    def load(self, name: str, table: Table, *, batches: Iterator[pa.RecordBatch]) -> None:
        """Makes a table of the batches, in the declared columns; instants become plain, in UTC.

        Raises:
            BaseException: What the batches raise, as it is.
        """
        schema = _plain(table.arrow_schema())
        watched = Watched(_chosen(batch, schema, table=table) for batch in batches)
        self._connection.register("incoming", pa.RecordBatchReader.from_batches(schema, watched))
        try:
            self.run(f"CREATE TABLE {name} AS SELECT * FROM incoming")  # noqa: S608 (names are ours)
        except EngineFailed:
            if watched.raised is None:
                raise
            raise watched.raised from watched.raised.__cause__
        self._connection.unregister("incoming")

    def differences(self, live: str, expected: str, *, key: Sequence[str], columns: Sequence[str]) -> Difference:
        """Where `live` is not what is expected; null equals null, and a row that stands twice differs.

        Args:
            live: A table, as the lake has it.
            expected: What it must be.
            key: The columns that name a row.
            columns: All columns.
        """
        self.run(f"CREATE OR REPLACE TEMP TABLE difference AS {_difference(live, expected, key=key, columns=columns)}")
        named = [
            _named(key, row[: len(key)], fault=row[len(key)])
            for row in self.rows(f"SELECT * FROM difference ORDER BY ALL LIMIT {NAMED}")  # noqa: S608 (a number)
        ]
        rows = self.count(f"SELECT count(*) FROM {expected}")  # noqa: S608 (names are ours)
        return Difference(rows, self.count("SELECT count(*) FROM difference"), named)


@contextmanager
def an_engine() -> Iterator[Engine]:
    """An engine whose files go with the block."""
    with TemporaryDirectory(prefix="loginlake-verify-") as folder:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "temp_directory": folder,
            "autoinstall_known_extensions": False,
        }
        with duckdb.connect(Path(folder) / "verify.duckdb", config=settings) as connection:
            yield Engine(connection)


def batches_of(rows: pl.LazyFrame, table: Table) -> Iterator[pa.RecordBatch]:
    """The rows as Arrow batches, few in memory at a time.

    Raises:
        LakeUnreadable: A file of the table is damaged.
    """
    with reading(table):
        for frame in rows.collect_batches(chunk_size=CHUNK_ROWS):
            yield from frame.to_arrow(compat_level=pl.CompatLevel.oldest()).to_batches()


def _chosen(batch: pa.RecordBatch, schema: pa.Schema, *, table: Table) -> pa.RecordBatch:
    try:
        return batch.select(schema.names).cast(schema)
    except KeyError as error:
        raise LakeUnreadable(
            f"{table.full_name} lacks a column: {error}", hint="Restore its log", table=table.full_name
        ) from error


def _plain(schema: pa.Schema) -> pa.Schema:
    return pa.schema(
        pa.field(field.name, pa.timestamp("us") if pa.types.is_timestamp(field.type) else field.type)
        for field in schema
    )


def _difference(live: str, expected: str, *, key: Sequence[str], columns: Sequence[str]) -> str:
    """The rows that differ: their key, and the names of the columns or which side lacks the row."""
    same = " AND ".join(f'l."{name}" IS NOT DISTINCT FROM e."{name}"' for name in (*key, "copy"))
    named = ", ".join(f'coalesce(l."{name}", e."{name}") AS "{name}"' for name in key)
    others = [name for name in columns if name not in key]
    differing = ", ".join(f'CASE WHEN l."{name}" IS DISTINCT FROM e."{name}" THEN \'{name}\' END' for name in others)
    unequal = " OR ".join(f'l."{name}" IS DISTINCT FROM e."{name}"' for name in others)
    return f"""
        SELECT {named},
            CASE WHEN l.copy IS NULL THEN 'is missing'
                 WHEN e.copy IS NULL THEN 'should not be there'
                 ELSE 'differs in ' || concat_ws(', ', {differing}) END AS fault
        FROM ({_numbered(live, key)}) l FULL JOIN ({_numbered(expected, key)}) e ON {same}
        WHERE l.copy IS NULL OR e.copy IS NULL OR {unequal}
    """  # noqa: S608 (names are those of the declarations)


def _numbered(table: str, key: Sequence[str]) -> str:
    names = ", ".join(f'"{name}"' for name in key)
    return f"SELECT *, row_number() OVER (PARTITION BY {names}) AS copy FROM {table}"  # noqa: S608 (names are ours)


def _named(key: Sequence[str], values: Sequence[object], *, fault: object) -> str:
    if tuple(key) == ("topic", "partition", "offset"):
        return f"{':'.join(str(value) for value in values)} {fault}"
    said = ", ".join(f"{name} {'null' if value is None else value}" for name, value in zip(key, values, strict=True))
    return f"{said} {fault}"
