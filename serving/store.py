"""The lake as readers see it: published snapshots, and the rows and history of tables, by delta-rs and polars."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from lakehouse.clock import Clock, utc_now
from lakehouse.errors import BadQuery, LakeUnreadable, TableMissing
from lakehouse.offsets import Offsets
from lakehouse.settings import Settings
from lakehouse.snapshots import RETAINED_FROM, Snapshot, resolve_snapshot, snapshot_from_row
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import SNAPSHOTS
from lakehouse.tables.model import Table
from serving.integrity import checked_rows, hold_commit, is_intact, last_commit, reading
from serving.parameters import AS_OF, SNAPSHOT, Given

# A pinned handle holds its table's list of files; readers ask for few versions at a time.
PINNED_HANDLES = 64


@dataclass(frozen=True)
class Commit:
    """One version of a table, as its log tells it."""

    version: int
    at: datetime
    operation: str
    metrics: dict[str, Any]


class Store:
    """Reads the lake; safe to share between threads.

    Args:
        settings: They say where the lake lies.
        clock: Gives now, UTC; a snapshot later than that can't be asked for.
    """

    def __init__(self, settings: Settings, clock: Clock = utc_now) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._publishing = threading.Lock()
        self._pinned: OrderedDict[tuple[str, int], DeltaTable] = OrderedDict()
        # The highest version that was seen of each table: a lower one later means that commits were lost.
        self._marks: dict[str, int] = {}
        # A refresher of its own, pinned readers never share this handle; its commit; what it holds.
        self._publications: DeltaTable | None = None
        self._publication: dict[str, Any] = {}
        self._published: tuple[Snapshot, ...] = ()
        self._retained_from = 1

    def snapshots(self) -> tuple[Snapshot, ...]:
        """All published snapshots, oldest first; none where nothing is published yet.

        Raises:
            LakeUnreadable: `gold.snapshots` can't be read, or ends before the last publication that was seen.
        """
        with self._publishing:
            try:
                handle = self._newest_publications()
            except TableMissing:
                return ()
            commit = last_commit(SNAPSHOTS, handle)
            if commit != self._publication:
                rows = checked_rows(SNAPSHOTS, handle)
                self._published = tuple(sorted(map(snapshot_from_row, rows), key=attrgetter("id")))
                self._keep(handle, commit)
            return self._published

    def _newest_publications(self) -> DeltaTable:
        """The kept handle, brought up to date; another where the commit that it ends with is no longer there."""
        handle = self._publications
        if handle is not None and is_intact(SNAPSHOTS, handle, commit=self._publication):
            with reading(SNAPSHOTS):
                handle.update_incremental()
            self._raise_mark(SNAPSHOTS, handle.version())
            return handle
        return self._opened(SNAPSHOTS)

    def _keep(self, handle: DeltaTable, commit: dict[str, Any]) -> None:
        if handle is not self._publications:
            # A commit that was lost and written anew may have other rows under versions that are pinned.
            with self._lock:
                self._pinned.clear()
        retained_from = handle.metadata().configuration.get(RETAINED_FROM) or "1"
        if not retained_from.isdecimal():
            raise LakeUnreadable(
                f"{SNAPSHOTS.full_name} names {retained_from!r} as the oldest retained snapshot",
                hint=f"Set its property {RETAINED_FROM} to the id of one",
                table=SNAPSHOTS.full_name,
            )
        self._publications, self._publication = handle, commit
        self._retained_from = int(retained_from)

    def snapshot(self, *, snapshot_id: int | None = None, as_of: datetime | None = None) -> Snapshot:
        """The snapshot asked for; without an id or an instant, the last one.

        Raises:
            SnapshotMissing: Nothing published answers.
            SnapshotExpired: It is older than what is kept for time travel.
            InFuture: `as_of` is later than now.
        """
        published = self.snapshots()
        return resolve_snapshot(
            published,
            retained_from=self._retained_from,
            snapshot_id=snapshot_id,
            as_of=as_of,
            clock=self._clock(),
        )

    def retained(self, published: Sequence[Snapshot]) -> Sequence[Snapshot]:
        """Of all published snapshots, those that may be asked for: `loginlake maintain` says which no longer."""
        return published[bisect_left(published, self._retained_from, key=attrgetter("id")) :]

    def rows(self, table: Table, snapshot: Snapshot) -> pl.LazyFrame:
        """The rows of a table at a snapshot, in no order.

        Raises:
            TableMissing: The snapshot is older than the table.
        """
        if table == RAW_LOGS:
            return self._newest(table).filter(below(snapshot.offsets))
        if table == SNAPSHOTS:
            return self._newest(table).filter(pl.col("id") <= snapshot.id)
        version = snapshot.versions.get(table.full_name)
        if version is None:
            raise TableMissing(
                f"Snapshot {snapshot.id} does not have {table.full_name}",
                hint="Ask for a later snapshot",
                name=table.full_name,
            )
        return scan(table, self._at(table, version))

    def rows_at_version(self, table: Table, version: int) -> pl.LazyFrame:
        """The rows of one version of one table, for inspection; it may be one that no snapshot names.

        Raises:
            TableMissing: The table has no such version.
        """
        # Asked first: delta-rs looks for a version far beyond the last one without end.
        newest = self.newest_version(table)
        if not 0 <= version <= newest:
            raise TableMissing(
                f"{table.full_name} has no version {version}",
                hint=f"Ask for one from 0 to {newest}",
                name=table.full_name,
            )
        return scan(table, self._at(table, version))

    def is_kept(self, table: Table, version: int) -> bool:
        """True for the newest version and those that retained snapshots name: the files of others may be gone."""
        retained = self.retained(self.snapshots())
        named = {snapshot.versions.get(table.full_name) for snapshot in retained}
        return version in named or version == self.newest_version(table)

    def newest_version(self, table: Table) -> int:
        """The last version of a table, published or not.

        Raises:
            TableMissing: Nothing was written to it yet.
        """
        version: int = self._opened(table).version()
        return version

    def history(self, table: Table, *, limit: int) -> list[Commit]:
        """The last versions of a table, newest first."""
        with reading(table):
            handle = self._opened(table)
            while True:
                version, commits = handle.version(), handle.history(limit)
                handle.update_incremental()
                if handle.version() == version:  # else delta-rs has given the commits the numbers of earlier ones
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

    def _newest(self, table: Table) -> pl.LazyFrame:
        return scan(table, self._opened(table))

    def _at(self, table: Table, version: int) -> DeltaTable:
        pin = (table.full_name, version)
        with self._lock:
            if pin in self._pinned:
                self._pinned.move_to_end(pin)
                return self._pinned[pin]
        handle = self._opened(table, version)
        with self._lock:
            self._pinned[pin] = handle
            if len(self._pinned) > PINNED_HANDLES:
                self._pinned.popitem(last=False)
        return handle

    def _opened(self, table: Table, version: int | None = None) -> DeltaTable:
        mark = self._marks.get(table.full_name, -1)
        if version is not None:
            hold_commit(table, version, uri=self._uri(table))
        with reading(table):
            try:
                handle = DeltaTable(self._uri(table), version=version)
            except TableNotFoundError as error:
                if mark >= 0:
                    raise
                raise TableMissing(
                    f"{table.full_name} has no rows yet",
                    hint="Run `loginlake bronze` and `loginlake refresh`",
                    name=table.full_name,
                ) from error
        if version is not None:
            return handle
        if handle.version() < mark:
            raise LakeUnreadable(
                f"{table.full_name} went back from version {mark} to {handle.version()}",
                hint="Its last commits were lost: run `loginlake refresh`, then `loginlake verify`",
                table=table.full_name,
            )
        self._raise_mark(table, handle.version())
        return handle

    def _raise_mark(self, table: Table, version: int) -> None:
        with self._lock:
            self._marks[table.full_name] = max(version, self._marks.get(table.full_name, -1))

    def _uri(self, table: Table) -> str:
        return self._settings.table_uri(table.layer, table.name)


def snapshot_asked(asked: Given, store: Store) -> Snapshot:
    """The snapshot that `as_of` or `snapshot` names; without either, the last one.

    Raises:
        BadQuery: Both are given.
        SnapshotMissing: Nothing published answers.
        SnapshotExpired: It is older than what is kept for time travel.
        InFuture: `as_of` is later than now.
    """
    snapshot_id, as_of = asked.one(SNAPSHOT), asked.one(AS_OF)
    if snapshot_id is not None and as_of is not None:
        raise BadQuery("as_of and snapshot are given both", hint="Give one of them")
    return store.snapshot(snapshot_id=snapshot_id, as_of=as_of)


def scan(table: Table, handle: DeltaTable) -> pl.LazyFrame:
    """The rows of an open table; its version is the handle's, since `scan_delta` ignores one given beside a handle."""
    with reading(table):
        return pl.scan_delta(handle)


def collected(rows: pl.LazyFrame, table: Table) -> pl.DataFrame:
    """The rows in memory.

    Args:
        rows: Read from `table`.
        table: Named in the error.

    Raises:
        LakeUnreadable: A file of the table is missing, truncated or garbled.
    """
    with reading(table):
        return rows.collect()


def below(offsets: Offsets) -> pl.Expr:
    """True for the Kafka positions that lie below the offsets of their partition."""
    return pl.any_horizontal(
        pl.lit(value=False),
        *(
            (pl.col("topic") == topic) & (pl.col("partition") == partition) & (pl.col("offset") < offset)
            for (topic, partition), offset in sorted(offsets.items())
        ),
    )
