"""Differences between two snapshots: rows of a table that were added, removed or changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from lakehouse.snapshots import Snapshot
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import SNAPSHOTS
from lakehouse.tables.model import Table
from serving.delta_tables import declared_schema
from serving.store import Store, collected

Change = Literal["added", "removed", "changed"]
CHANGES: tuple[Change, ...] = ("added", "removed", "changed")
IN_OLD, IN_NEW, NEW = "__in_old", "__in_new", "__new"


@dataclass(frozen=True)
class RowChange:
    """A row that differs between two snapshots.

    Attributes:
        change: added, removed or changed.
        key: The key columns of the row.
        old: Old values of the columns that differ; None for an added row.
        new: New values of the columns that differ; None for a removed row.
    """

    change: Change
    key: dict[str, Any]
    old: dict[str, Any] | None
    new: dict[str, Any] | None


def count_changes(table: Table, store: Store, *, before: Snapshot, after: Snapshot) -> dict[str, int]:
    """Return how many rows of a table were added, removed and changed between two snapshots.

    Raises:
        SchemaDiffers: The table has an undeclared column, or one of another type.
        LakeUnreadable: A file is missing or damaged.
        SnapshotExpired: The older snapshot has expired since it was looked up, and its files are deleted.
    """
    if _is_same(table, before=before, after=after):
        return dict.fromkeys(CHANGES, 0)
    with store.reading_snapshot(_older(before, after)):
        differing = _differing(table, store, before=before, after=after).group_by("change").agg(pl.len().alias("rows"))
        counts = dict(collected(differing, table).rows())
    return {change: counts.get(change, 0) for change in CHANGES}


def row_changes(
    table: Table, store: Store, *, before: Snapshot, after: Snapshot, limit: int | None = None
) -> list[RowChange]:
    """Return the rows of a table that differ between two snapshots, in the order of its key.

    Raises:
        SchemaDiffers: The table has an undeclared column, or one of another type.
        LakeUnreadable: A file is missing or damaged.
        SnapshotExpired: The older snapshot has expired since it was looked up, and its files are deleted.
    """
    if _is_same(table, before=before, after=after):
        return []
    with store.reading_snapshot(_older(before, after)):
        differing = _differing(table, store, before=before, after=after).sort(table.key, nulls_last=True)
        rows = collected(differing if limit is None else differing.head(limit), table)
    return [_row_change(row, table) for row in rows.to_dicts()]


def _older(before: Snapshot, after: Snapshot) -> Snapshot:
    return before if before.id < after.id else after


def _is_same(table: Table, *, before: Snapshot, after: Snapshot) -> bool:
    """Return whether both snapshots name the same version; bronze and gold.snapshots have none."""
    version = after.versions.get(table.full_name)
    return version is not None and version == before.versions.get(table.full_name)


def _differing(table: Table, store: Store, *, before: Snapshot, after: Snapshot) -> pl.LazyFrame:
    """Return the rows that differ: the change, the key, and each other column with its old and its new value."""
    compared = _compared(table)
    old = _rows(table, store, snapshot=before).select(*table.key, *compared, pl.lit(value=True).alias(IN_OLD))
    new = _rows(table, store, snapshot=after).select(
        *table.key, *(pl.col(name).alias(name + NEW) for name in compared), pl.lit(value=True).alias(IN_NEW)
    )
    change = (
        pl.when(pl.col(IN_OLD).is_null())
        .then(pl.lit("added"))
        .when(pl.col(IN_NEW).is_null())
        .then(pl.lit("removed"))
        .when(
            pl.any_horizontal(pl.lit(value=False), *(pl.col(name).ne_missing(pl.col(name + NEW)) for name in compared))
        )
        .then(pl.lit("changed"))
    )
    joined = old.join(new, on=list(table.key), how="full", coalesce=True, nulls_equal=True)
    return joined.with_columns(change=change).filter(pl.col("change").is_not_null()).drop(IN_OLD, IN_NEW)


def _rows(table: Table, store: Store, *, snapshot: Snapshot) -> pl.LazyFrame:
    """Return the rows at a snapshot; none if the snapshot is older than the table."""
    if table not in (RAW_LOGS, SNAPSHOTS) and table.full_name not in snapshot.versions:
        return pl.LazyFrame(schema=declared_schema(table))
    return store.rows(table, snapshot)


def _compared(table: Table) -> Sequence[str]:
    """Return the columns outside of the key whose values are compared.

    These are all but bytes and lists, which never change, and the day of the partition, which follows from an instant.
    """
    return [
        column.name
        for column in table.columns
        if column.name not in table.key
        and isinstance(column.type, str)
        and column.type != "binary"
        and not (column.type == "date" and column.name in table.partition_by)
    ]


def _row_change(row: dict[str, Any], table: Table) -> RowChange:
    change: Change = row["change"]
    names = [name for name in _compared(table) if change != "changed" or row[name] != row[name + NEW]]
    return RowChange(
        change,
        {name: row[name] for name in table.key},
        None if change == "added" else {name: row[name] for name in names},
        None if change == "removed" else {name: row[name + NEW] for name in names},
    )
