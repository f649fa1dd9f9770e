"""DuckDB as the independent engine: load tables from Arrow and compare them cell by cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import polars as pl
import pyarrow as pa

from lakehouse.errors import LakehouseError
from lakehouse.tables.model import Table
from loginlake.verify.report import MAX_DETAILS
from serving.integrity import reading

CHUNK_ROWS = 20_000


@dataclass(frozen=True)
class Difference:
    """Where two tables differ.

    Attributes:
        rows: Number of rows that were compared.
        differing: Number of rows that differ.
        details: The first of these: the key of the row, and the columns that differ.
    """

    rows: int
    differing: int
    details: list[str]


class EngineFailed(LakehouseError):
    """DuckDB could not run a statement."""


class BatchIterator:
    """An iterator that remembers the exception it raised, because DuckDB replaces it by one of its own."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self.raised: BaseException | None = None

    def __iter__(self) -> BatchIterator:
        return self

    def __next__(self) -> pa.RecordBatch:
        """Return the next batch."""
        try:
            return next(self._batches)
        except StopIteration:
            raise
        except BaseException as error:
            self.raised = error
            raise


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        reason, _, _ = str(error).partition("\n")
        raise EngineFailed(
            f"DuckDB could not recompute the lake: {reason}",
            hint="If its disk is full, set TMPDIR to a folder on another disk",
        ) from error


class Engine:
    """A DuckDB database in a temporary folder; it is on disk so that a lake may be larger than memory."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def run(self, statement: str) -> None:
        """Run a statement.

        Raises:
            EngineFailed: DuckDB could not run it.
        """
        with _translated_errors():
            self._connection.execute(statement)

    def rows(self, query: str) -> Iterator[tuple[object, ...]]:
        """Yield the rows of a query.

        Raises:
            EngineFailed: DuckDB could not run it.
        """
        with _translated_errors():
            answer = self._connection.execute(query)
            while rows := answer.fetchmany(CHUNK_ROWS):
                yield from rows

    def frame(self, query: str, table: Table) -> pl.DataFrame:
        """Return the rows of a query that gives the declared columns of `table`, with their declared types.

        Raises:
            EngineFailed: DuckDB could not run it.
        """
        with _translated_errors():
            rows: pa.Table = self._connection.sql(query).to_arrow_table()
        schema = table.arrow_schema()
        frame = pl.from_arrow(rows.select(schema.names).cast(schema))
        if not isinstance(frame, pl.DataFrame):
            raise TypeError("an Arrow table becomes a frame")
        return frame

    def count(self, query: str) -> int:
        """Return the number that is the only value of a query.

        Raises:
            EngineFailed: DuckDB could not run it.
        """
        with _translated_errors():
            ((number,),) = self._connection.execute(query).fetchall()
        return int(number)

    def columns(self, table: str) -> list[str]:
        """Return the names of the columns of a table.

        Raises:
            EngineFailed: There is no such table.
        """
        return [str(row[0]) for row in self.rows(f"DESCRIBE {table}")]

    def load(self, name: str, table: Table, *, batches: Iterator[pa.RecordBatch]) -> None:
        """Create a table with the declared columns of `table` from the batches; instants lose their zone, UTC.

        Raises:
            BaseException: What the iterator of batches raises.
        """
        schema = _without_zones(table.arrow_schema())
        incoming = BatchIterator(batch.select(schema.names).cast(schema) for batch in batches)
        self._connection.register("incoming", pa.RecordBatchReader.from_batches(schema, incoming))
        try:
            self.run(f"CREATE TABLE {name} AS SELECT * FROM incoming")  # noqa: S608 (names are ours)
        except EngineFailed:
            if incoming.raised is None:
                raise
            raise incoming.raised from incoming.raised.__cause__
        self._connection.unregister("incoming")

    def clear_where_null(self, expected: str, live: str, *, key: Sequence[str], column: str) -> int:
        """Set a column of `expected` to null where `live` has null, and return in how many rows it had a value."""
        same = " AND ".join(f'e."{name}" IS NOT DISTINCT FROM l."{name}"' for name in key)
        where = f'{same} AND l."{column}" IS NULL AND e."{column}" IS NOT NULL'
        rows = self.count(f"SELECT count(*) FROM {expected} e JOIN {live} l ON {where}")  # noqa: S608 (names are ours)
        self.run(f'UPDATE {expected} e SET "{column}" = NULL FROM {live} l WHERE {where}')  # noqa: S608 (as above)
        return rows

    def differences(self, live: str, expected: str, *, key: Sequence[str], columns: Sequence[str]) -> Difference:
        """Compare two tables; null equals null, and a repeated row differs.

        Args:
            live: The table as it is in the lake.
            expected: The table as it should be.
            key: The columns that identify a row.
            columns: All columns.
        """
        self.run(f"CREATE OR REPLACE TEMP TABLE difference AS {_difference(live, expected, key=key, columns=columns)}")
        first_rows = f"SELECT * FROM difference ORDER BY ALL LIMIT {MAX_DETAILS}"  # noqa: S608 (a number)
        details = [_describe(key, row[: len(key)], fault=row[len(key)]) for row in self.rows(first_rows)]
        rows = self.count(f"SELECT count(*) FROM {expected}")  # noqa: S608 (names are ours)
        return Difference(rows, self.count("SELECT count(*) FROM difference"), details)


@contextmanager
def temporary_engine() -> Iterator[Engine]:
    """Yield an engine whose files are deleted at the end of the block."""
    with TemporaryDirectory(prefix="loginlake-verify-") as folder:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "temp_directory": folder,
            "autoinstall_known_extensions": False,
        }
        with duckdb.connect(Path(folder) / "verify.duckdb", config=settings) as connection:
            yield Engine(connection)


def batches_of(rows: pl.LazyFrame, table: Table) -> Iterator[pa.RecordBatch]:
    """Yield the rows as Arrow batches, with few of them in memory at a time.

    Raises:
        LakeUnreadable: A file of the table is damaged.
    """
    with reading(table):
        for frame in rows.collect_batches(chunk_size=CHUNK_ROWS):
            yield from frame.to_arrow(compat_level=pl.CompatLevel.oldest()).to_batches()


def _without_zones(schema: pa.Schema) -> pa.Schema:
    return pa.schema(
        pa.field(field.name, pa.timestamp("us") if pa.types.is_timestamp(field.type) else field.type)
        for field in schema
    )


def _difference(live: str, expected: str, *, key: Sequence[str], columns: Sequence[str]) -> str:
    """Return the query for rows that differ: their key, and which columns differ or which table lacks the row."""
    same = " AND ".join(f'l."{name}" IS NOT DISTINCT FROM e."{name}"' for name in (*key, "copy"))
    keys = ", ".join(f'coalesce(l."{name}", e."{name}") AS "{name}"' for name in key)
    others = [name for name in columns if name not in key]
    differing = ", ".join(f'CASE WHEN l."{name}" IS DISTINCT FROM e."{name}" THEN \'{name}\' END' for name in others)
    unequal = " OR ".join(f'l."{name}" IS DISTINCT FROM e."{name}"' for name in others)
    return f"""
        SELECT {keys},
            CASE WHEN l.copy IS NULL THEN 'is missing'
                 WHEN e.copy IS NULL THEN 'should not exist'
                 ELSE 'differs in ' || concat_ws(', ', {differing}) END AS fault
        FROM ({_numbered(live, key)}) l FULL JOIN ({_numbered(expected, key)}) e ON {same}
        WHERE l.copy IS NULL OR e.copy IS NULL OR {unequal}
    """  # noqa: S608 (names are those of the declarations)


def _numbered(table: str, key: Sequence[str]) -> str:
    names = ", ".join(f'"{name}"' for name in key)
    return f"SELECT *, row_number() OVER (PARTITION BY {names}) AS copy FROM {table}"  # noqa: S608 (names are ours)


def _describe(key: Sequence[str], values: Sequence[object], *, fault: object) -> str:
    if tuple(key) == ("topic", "partition", "offset"):
        return f"{':'.join(str(value) for value in values)} {fault}"
    shown = ["null" if value is None else str(value) for value in values]
    return f"{', '.join(f'{name} {value}' for name, value in zip(key, shown, strict=True))} {fault}"
