"""What is verified: the versions of all tables, pinned once, and their rows."""

from __future__ import annotations

from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from lakehouse.errors import LakeUnreadable, TableMissing
from lakehouse.offsets import Offsets
from lakehouse.snapshots import Snapshot
from lakehouse.tables import SNAPSHOT_TABLES, TABLES
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import SNAPSHOTS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from loginlake.verify.ranges import POSITION
from loginlake.verify.report import Check, check
from serving.store import Store, below, collected

RESTORE_TABLE = "Restore the table's log from a copy of the lake"
POSITION_SCHEMA = {"topic": pl.String, "partition": pl.Int32, "offset": pl.Int64}
# In this order: what silver has read bronze must hold.
PINNED = (*SNAPSHOT_TABLES, RAW_LOGS)


@dataclass(frozen=True)
class Scope:
    """The lake at fixed versions; jobs may write meanwhile.

    Attributes:
        store: Reads the rows.
        published: All snapshots, oldest first.
        snapshot: The one that gold is checked at: the one asked for, else the last; None where none is published.
        versions: By full name, the version that is read; a table that can't be opened has none.
        bounds: Next offsets that bronze is checked up to; None for all that it has.
        damaged: Full names of tables whose rows are not read: a garbled file can end the process that reads it.
    """

    store: Store
    published: tuple[Snapshot, ...]
    snapshot: Snapshot | None
    versions: dict[str, int]
    bounds: Offsets | None
    damaged: Set[str] = frozenset()

    def events(self) -> pl.LazyFrame:
        """The rows of silver; none where there is no silver yet.

        Raises:
            LakeUnreadable: They can't be read.
        """
        return self._rows(EVENTS, none=pl.DataFrame(EVENTS.arrow_schema().empty_table()))

    def records(self) -> pl.LazyFrame:
        """The rows of bronze, up to the bounds; none where there is no bronze yet.

        Raises:
            LakeUnreadable: They can't be read.
        """
        rows = self._rows(RAW_LOGS, none=pl.DataFrame(schema=POSITION_SCHEMA))
        return rows if self.bounds is None else rows.filter(below(self.bounds))

    @cached_property
    def silver(self) -> pl.DataFrame:
        """The positions of silver."""
        return collected(self.events().select(POSITION), EVENTS)

    @cached_property
    def bronze(self) -> pl.DataFrame:
        """The positions of bronze, up to the bounds."""
        return collected(self.records().select(POSITION), RAW_LOGS)

    def refined(self) -> pl.DataFrame:
        """The bronze positions below silver's next offsets."""
        at = ["topic", "partition"]
        lasts = self.silver.group_by(at).agg(last=pl.col("offset").max())
        return self.bronze.join(lasts, on=at).filter(pl.col("offset") <= pl.col("last")).drop("last")

    def rows(self, table: Table, snapshot: Snapshot) -> pl.LazyFrame:
        """The rows of a table at a snapshot.

        Raises:
            LakeUnreadable: They can't be read.
            TableMissing: The snapshot is older than the table.
        """
        self._refuse_damaged(table)
        return self.store.rows(table, snapshot)

    def _refuse_damaged(self, table: Table) -> None:
        if table.full_name in self.damaged:
            raise LakeUnreadable(
                f"{table.full_name} has damaged files, so it is not read",
                hint="Restore them",
                table=table.full_name,
            )

    def _rows(self, table: Table, *, none: pl.DataFrame) -> pl.LazyFrame:
        self._refuse_damaged(table)
        version = self.versions.get(table.full_name)
        if version is not None:
            return self.store.rows_at_version(table, version)
        try:
            return newest_rows(self.store, table)
        except TableMissing:
            return none.lazy()


def whole_lake(store: Store) -> Scope:
    """The lake as it is now, and gold at the last snapshot.

    Raises:
        TableMissing: There is no lake.
    """
    # First: what its commits up to there note stands in the rows that are read next.
    versions = _newest(store, (SNAPSHOTS,))
    published = _published(store)
    versions |= _newest(store, PINNED)
    if not versions and not published:
        store.newest_version(RAW_LOGS)  # raises what is wrong: nothing there, or nothing readable
    return Scope(store, published, published[-1] if published else None, versions, None)


def at_snapshot(store: Store, snapshot_id: int) -> Scope:
    """The lake at a snapshot: bronze below its offsets.

    Raises:
        SnapshotMissing: There is no such snapshot.
    """
    snapshot = store.snapshot(snapshot_id=snapshot_id)
    published = tuple(each for each in store.snapshots() if each.id <= snapshot.id)
    versions = {**snapshot.versions, **_newest(store, (RAW_LOGS, SNAPSHOTS))}
    return Scope(store, published, snapshot, versions, snapshot.offsets)


def _published(store: Store) -> tuple[Snapshot, ...]:
    """The published snapshots; none where their table can't be read, which its own checks will say."""
    try:
        return store.snapshots()
    except LakeUnreadable:
        return ()


def _newest(store: Store, tables: Sequence[Table]) -> dict[str, int]:
    """The newest version of each of the tables that can be opened."""
    versions = {}
    for table in tables:
        with suppress(LakeUnreadable, TableMissing):
            versions[table.full_name] = store.newest_version(table)
    return versions


def columns_check(scope: Scope) -> Check:
    """Every table has the columns that it is declared with, and no others."""
    faults = []
    for name, version in sorted(scope.versions.items()):
        live = set(scope.store.rows_at_version(TABLES[name], version).collect_schema().names())
        declared = set(TABLES[name].column_names)
        faults += [f"{name} lacks {column}" for column in sorted(declared - live)]
        faults += [f"{name} has {column}, which is not declared" for column in sorted(live - declared)]
    return check(
        "every table has the columns it is declared with", faults, checked=len(scope.versions), hint=RESTORE_TABLE
    )


def rows_in(rows: pl.LazyFrame, table: Table) -> int:
    """How many rows there are."""
    return int(collected(rows.select(pl.len()), table).item())


def newest_rows(store: Store, table: Table) -> pl.LazyFrame:
    """The rows of a table as they are now, published or not."""
    return store.rows_at_version(table, store.newest_version(table))
