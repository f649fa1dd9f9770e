"""Rows of a table as they are: at a snapshot, or at a version of that table alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import polars as pl

from lakehouse.errors import BadQuery, LakeUnreadable, SnapshotExpired
from lakehouse.snapshots import Snapshot
from lakehouse.tables.gold import DETECTIONS
from lakehouse.tables.model import Table
from serving.parameters import AS_OF, FROM, SNAPSHOT, TO, VERSION, Given, Parameter
from serving.selection import ALWAYS, Order, Period, Selection, filter_parameters, order_parameter, period, selection
from serving.store import Store, collected, snapshot_asked

# Of detections the newest are asked for; the rows of all other tables come in the order of their key.
NEWEST_DETECTIONS_FIRST = (Order("fired_at", descending=True),)


@dataclass(frozen=True)
class TableQuery:
    """Which rows of which table are wanted; the period is about the instant that the table is laid out by."""

    table: Table
    selection: Selection
    period: Period = ALWAYS

    @property
    def canonical(self) -> str:
        """The same text for the same question, however it was written."""
        return repr((self.table.full_name, self.period, self.selection))

    def of(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """The wanted ones among rows of the table, sorted."""
        if self.table.instant is not None:
            days = self.period.days(self.table.partition_by[-1])
            rows = rows.filter(*days, *self.period.instants(self.table.instant))
        return self.selection.of(rows, self.table.key)


def table_parameters(table: Table) -> tuple[Parameter[Any], ...]:
    """What a question about a table may say on the command line: any of its columns is a filter."""
    of_period = () if table.instant is None else (FROM, TO)
    return (*of_period, *filter_parameters(table.columns), order_parameter(table.columns), VERSION, AS_OF, SNAPSHOT)


def table_query(table: Table, asked: Given, *, limit: int | None, clock: datetime) -> TableQuery:
    """The question as checked values.

    Args:
        table: What it is about.
        asked: Parameters among `table_parameters(table)`.
        limit: Rows at most; None is all.
        clock: Now, for a period relative to it.

    Raises:
        BadQuery: A value can't be read or is not allowed; the error names what is.
    """
    default = NEWEST_DETECTIONS_FIRST if table is DETECTIONS else ()
    wanted = selection(asked, table.columns, ordered=table.columns, default=default)
    return TableQuery(table, replace(wanted, limit=limit), period(asked, clock))


def version_asked(asked: Given) -> int | None:
    """The version of one table that was asked for.

    Raises:
        BadQuery: A snapshot is asked for too.
    """
    version = asked.one(VERSION)
    if version is not None and (asked.one(AS_OF) is not None or asked.one(SNAPSHOT) is not None):
        raise BadQuery("version is given beside a snapshot", hint="Give one of version, snapshot and as_of")
    return version


def rows_at_version(query: TableQuery, store: Store, *, version: int) -> pl.DataFrame:
    """The rows of one version of the table, for inspection.

    Raises:
        TableMissing: The table has no such version.
        SnapshotExpired: No snapshot that is kept names it, and its files are gone.
        LakeUnreadable: A file is missing or damaged.
    """
    table = query.table
    try:
        return collected(query.of(store.rows_at_version(table, version)), table)
    except LakeUnreadable as error:
        if store.is_kept(table, version):
            raise
        raise SnapshotExpired(
            f"Version {version} of {table.full_name} is no longer kept",
            hint="Ask for a snapshot, or for a version that one names",
        ) from error


def rows_at_snapshot(query: TableQuery, store: Store, *, snapshot: Snapshot) -> pl.DataFrame:
    """The rows of the table at a snapshot.

    Raises:
        TableMissing: The snapshot is older than the table.
        LakeUnreadable: A file is missing or damaged.
    """
    return collected(query.of(store.rows(query.table, snapshot)), query.table)


def rows_asked(query: TableQuery, store: Store, *, asked: Given) -> pl.DataFrame:
    """The rows at the version that was asked for, else at the snapshot.

    Raises:
        BadQuery: Both are asked for.
    """
    version = version_asked(asked)
    if version is not None:
        return rows_at_version(query, store, version=version)
    return rows_at_snapshot(query, store, snapshot=snapshot_asked(asked, store))
