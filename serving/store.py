"""The lake as readers see it: published snapshots, and the rows and history of tables, by delta-rs and polars."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from lakehouse.clock import Clock, utc_now
from lakehouse.errors import LakeUnreadable, SnapshotExpired, TableMissing
from lakehouse.progress import is_below
from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot, resolve_snapshot, snapshot_expired
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import ATTACKS, ENTITY_RISK, LABELS, SESSIONS, SNAPSHOTS
from lakehouse.tables.model import Table
from serving.delta_tables import DeltaTables, declared_schema, scan
from serving.integrity import reading
from serving.publications import Publications, Published, retained_among
from serving.sessions import sessions
from serving.views import attacks, entity_risk

# The views, each with the function that computes its rows.
COMPUTED = {ATTACKS.full_name: attacks, ENTITY_RISK.full_name: entity_risk, SESSIONS.full_name: sessions}


@dataclass(frozen=True)
class Commit:
    """One version of a table, as its log records it."""

    version: int
    at: datetime
    operation: str
    metrics: dict[str, Any]


class Store:
    """Reads the lake directly: each call sees what is published by then. Safe to share between threads.

    Attributes:
        settings: The settings that name the lake.

    Args:
        clock: Returns the current instant, UTC; `as_of` may not be later.
    """

    def __init__(self, settings: Settings, clock: Clock = utc_now) -> None:
        self.settings = settings
        self._clock = clock
        self._tables = DeltaTables(settings)
        self._publications = Publications(self._tables)
        self._reading_publications = threading.Lock()

    def published(self) -> Published:
        """Return all published snapshots and which of them are retained.

        Raises:
            LakeUnreadable: `gold.snapshots` can't be read, or ends before the last publication that was seen.
        """
        with self._reading_publications:
            return self._publications.read()

    def snapshots(self) -> tuple[Snapshot, ...]:
        """Return all published snapshots, oldest first; none if nothing is published yet.

        Raises:
            LakeUnreadable: `gold.snapshots` can't be read, or ends before the last publication that was seen.
        """
        return self.published().snapshots

    def now(self) -> datetime:
        """Return the current instant, UTC."""
        return self._clock()

    def snapshot(self, *, snapshot_id: int | None = None, as_of: datetime | None = None) -> Snapshot:
        """Return the snapshot with an id, or the last one published by an instant; without either, the last one.

        Raises:
            SnapshotMissing: No published snapshot matches.
            SnapshotExpired: The snapshot is no longer retained.
            InFuture: `as_of` is later than now.
        """
        published = self.published()
        return resolve_snapshot(
            published.snapshots,
            retained_from=published.retained_from,
            snapshot_id=snapshot_id,
            as_of=as_of,
            clock=self._clock(),
        )

    def retained(self, snapshots: Sequence[Snapshot]) -> Sequence[Snapshot]:
        """Return those of the snapshots, oldest first, that are retained as of the last read of `gold.snapshots`."""
        return retained_among(snapshots, retained_from=self._publications.published.retained_from)

    def rows(self, table: Table, snapshot: Snapshot) -> pl.LazyFrame:
        """Return the rows of a table or view at a snapshot, in no order, with exactly the declared columns.

        Raises:
            TableMissing: The snapshot is older than the table.
            SchemaDiffers: The table has an undeclared column, or one of another type.
        """
        if table == RAW_LOGS:
            return self._newest_rows(table).filter(is_below(snapshot.offsets, pl.col))
        if table == SNAPSHOTS:
            return self._newest_rows(table).filter(pl.col("id") <= snapshot.id)
        if table == LABELS:
            return self._labels()
        if table.full_name in COMPUTED:
            return COMPUTED[table.full_name](lambda read: self.rows(read, snapshot), snapshot=snapshot)
        version = snapshot.versions.get(table.full_name)
        if version is None:
            raise TableMissing(
                f"Snapshot {snapshot.id} does not have {table.full_name}",
                hint="Read a later snapshot",
                name=table.full_name,
            )
        return self._tables.pinned(table, version).rows

    def rows_at_version(self, table: Table, version: int) -> pl.LazyFrame:
        """Return the rows of one version of one table, for inspection; no snapshot needs to name it.

        Raises:
            TableMissing: The table has no such version.
            SchemaDiffers: The version has an undeclared column, or one of another type.
        """
        self._check_version(table, version)
        return self._tables.pinned(table, version).rows

    def is_retained(self, table: Table, version: int) -> bool:
        """Return whether the version is the newest or a retained snapshot names it.

        Files of other versions may have been removed. Before the first snapshot is published, no files are removed.
        """
        published = self.published()
        retained = retained_among(published.snapshots, retained_from=published.retained_from)
        named = {snapshot.versions.get(table.full_name) for snapshot in retained}
        return not published.snapshots or version in named or version == self.newest_version(table)

    @contextmanager
    def reading_snapshot(self, snapshot: Snapshot) -> Iterator[None]:
        """Report files that the block can't read as expired, and not as damage, if the snapshot is no longer retained.

        A snapshot can expire after it was looked up; its files are removed after the grace period.

        Raises:
            SnapshotExpired: In place of LakeUnreadable.
        """
        try:
            yield
        except LakeUnreadable as error:
            if snapshot.id >= self.published().retained_from:
                raise
            raise self.expired(snapshot.description) from error

    def expired(self, what: str) -> SnapshotExpired:
        """Return the error for a snapshot, or a version of a table, that is no longer retained."""
        published = self.published()
        return snapshot_expired(what, published.snapshots, retained_from=published.retained_from)

    def newest_version(self, table: Table) -> int:
        """Return the last version of a table, published or not.

        Raises:
            TableMissing: The table does not exist yet.
        """
        version: int = self._tables.newest(table).version()
        return version

    def history(self, table: Table, *, limit: int) -> list[Commit]:
        """Return the last versions of a table, newest first."""
        with reading(table):
            handle = self._tables.newest(table)
            while True:
                version, commits = handle.version(), handle.history(limit)
                handle.update_incremental()
                if handle.version() == version:  # else delta-rs has numbered the commits one too low
                    break
        return [
            Commit(
                version=commit["version"],
                at=datetime.fromtimestamp(commit["timestamp"] / 1000, UTC),
                operation=commit.get("operation", ""),
                metrics=commit.get("operationMetrics", {}),
            )
            for commit in commits
        ]

    def labels_version(self) -> int | None:
        """Return the newest version of gold.labels; None before the first label."""
        try:
            return self.newest_version(LABELS)
        except TableMissing:
            return None

    def _labels(self) -> pl.LazyFrame:
        """Return the newest rows of gold.labels, which exists from the first label on."""
        try:
            return self._newest_rows(LABELS)
        except TableMissing:
            return pl.LazyFrame(schema=declared_schema(LABELS))

    def _newest_rows(self, table: Table) -> pl.LazyFrame:
        return scan(table, self._tables.newest(table))

    def _check_version(self, table: Table, version: int) -> None:
        """Raise if a table has no such version: delta-rs searches without end for one far beyond the last."""
        newest = self.newest_version(table)
        if not 0 <= version <= newest:
            raise TableMissing(
                f"{table.full_name} has no version {version}",
                hint=f"Use a version from 0 to {newest}",
                name=table.full_name,
            )


def collected(rows: pl.LazyFrame, table: Table, *, version: int | None = None) -> pl.DataFrame:
    """Return the rows in memory.

    Args:
        rows: A frame over the table.
        table: Named in the error.
        version: The version that is read, named in the error; None if it is the newest.

    Raises:
        LakeUnreadable: A file of the table is missing, truncated or damaged.
    """
    with reading(table, version=version):
        return rows.collect()
