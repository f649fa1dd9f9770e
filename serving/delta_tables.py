"""Delta tables as readers open them: a pinned version is opened once, and no table goes back to an earlier version."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass

import polars as pl
from deltalake import DeltaTable, Schema
from deltalake.exceptions import TableNotFoundError

from lakehouse.errors import LakeUnreadable, SchemaDiffers, TableMissing
from lakehouse.s3 import polars_options, storage_options
from lakehouse.settings import Settings
from lakehouse.tables.gold import LABELS
from lakehouse.tables.model import Table
from serving.integrity import check_commit, reading

# A pinned handle keeps its table's list of files in memory; queries read few versions at a time.
PINNED_VERSIONS = 64


@dataclass(frozen=True)
class PinnedTable:
    """One version of a table, open.

    Attributes:
        handle: Lists the files of the version.
        rows: The rows in no order; polars resolves the files of the same frame only once.
    """

    handle: DeltaTable
    rows: pl.LazyFrame


class DeltaTables:
    """The tables of a lake, opened on request; safe to share between threads, and no lock is held while it reads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._pinned: OrderedDict[tuple[str, int], PinnedTable] = OrderedDict()
        # The highest version seen of each table: a lower one later means that commits were lost.
        self._highest: dict[str, int] = {}

    def uri(self, table: Table) -> str:
        """Return the URI of a table."""
        return self._settings.table_uri(table.layer, table.name)

    def newest(self, table: Table) -> DeltaTable:
        """Open the last version of a table.

        Raises:
            TableMissing: The table does not exist yet.
            LakeUnreadable: Its last version is lower than before, or can't be read.
        """
        highest = self._highest.get(table.full_name, -1)
        with reading(table):
            try:
                handle = open_table(self._settings, table)
            except TableNotFoundError as error:
                if highest >= 0:
                    raise
                raise _missing(table) from error
        if handle.version() < highest:
            raise LakeUnreadable(
                f"The last version of {table.full_name} is {handle.version()}, but it was {highest} before",
                hint="Run `loginlake refresh`, then `loginlake verify`",
                table=table.full_name,
            )
        self._remember(table, handle.version())
        return handle

    def advance(self, table: Table, handle: DeltaTable) -> None:
        """Move a handle of its own to the last version of the table."""
        with reading(table):
            handle.update_incremental()
        self._remember(table, handle.version())

    def at(self, table: Table, version: int) -> DeltaTable:
        """Open a version of a table from disk.

        Raises:
            LakeUnreadable: The version does not exist or can't be read.
        """
        check_commit(table, version, uri=self.uri(table))
        with reading(table, version=version):
            return open_table(self._settings, table, version=version)

    def pinned(self, table: Table, version: int) -> PinnedTable:
        """Return a version of a table that stays open, and open it if it is not.

        Raises:
            LakeUnreadable: The version does not exist or can't be read.
            SchemaDiffers: The version has an undeclared column, or one of another type.
        """
        pin = (table.full_name, version)
        with self._lock:
            if pin in self._pinned:
                self._pinned.move_to_end(pin)
                return self._pinned[pin]
        handle = self.at(table, version)
        opened = PinnedTable(handle, scan(table, handle))
        with self._lock:
            self._pinned[pin] = opened
            if len(self._pinned) > PINNED_VERSIONS:
                self._pinned.popitem(last=False)
        return opened

    def close_pinned(self) -> None:
        """Forget all pinned versions; a lost commit that was made again may have other rows under the same version."""
        with self._lock:
            self._pinned.clear()

    def _remember(self, table: Table, version: int) -> None:
        with self._lock:
            self._highest[table.full_name] = max(version, self._highest.get(table.full_name, -1))


def open_table(settings: Settings, table: Table, *, version: int | None = None) -> DeltaTable:
    """Open a version of a table, by default the last, with delta-rs; its errors are not translated."""
    uri = settings.table_uri(table.layer, table.name)
    return DeltaTable(uri, version=version, storage_options=storage_options(settings))


def scan(table: Table, handle: DeltaTable) -> pl.LazyFrame:
    """Return the rows of an open table with exactly the declared columns; those that the version lacks are null.

    Raises:
        SchemaDiffers: The version has an undeclared column, or one of another type.
    """
    version = handle.version()
    with reading(table, version=version):
        live = handle.schema()
    _check_columns(table, live, version=version)
    # The version of the rows is the handle's: `scan_delta` ignores a version given beside a handle.
    with reading(table, version=version):
        rows = pl.scan_delta(handle, storage_options=polars_options(handle.table_uri))
    names = {field.name for field in live.fields}
    added_later = [
        pl.lit(None, dtype).alias(name) for name, dtype in declared_schema(table).items() if name not in names
    ]
    return rows.with_columns(added_later).select(table.column_names)


def declared_schema(table: Table) -> pl.Schema:
    """Return the declared columns of a table as polars types."""
    return pl.Schema(Schema.from_json(table.schema_json()))


def _check_columns(table: Table, live: Schema, *, version: int) -> None:
    dtypes, types = declared_schema(table), _type_names(Schema.from_json(table.schema_json()))
    live_types = _type_names(live)
    differences = [
        f"{name} is {live_types[name]}, declared {types[name]}" if name in types else f"{name} is not declared"
        for name, dtype in pl.Schema(live).items()
        if dtypes.get(name) != dtype
    ]
    if differences:
        raise SchemaDiffers(
            f"Version {version} of {table.full_name} differs from its declaration: {'; '.join(differences)}",
            hint="Read it with the release that wrote it",
            table=table.full_name,
            version=version,
        )


def _type_names(schema: Schema) -> dict[str, str]:
    """Return Delta's own name of each column's type, such as long or array."""
    types = {field["name"]: field["type"] for field in json.loads(schema.to_json())["fields"]}
    return {name: type_ if isinstance(type_, str) else type_["type"] for name, type_ in types.items()}


def _missing(table: Table) -> TableMissing:
    hint = "Run `loginlake bronze` and `loginlake refresh`"
    if table == LABELS:
        hint = "Label a detection with `loginlake label`"
    return TableMissing(f"{table.full_name} has no rows yet", hint=hint, name=table.full_name)
