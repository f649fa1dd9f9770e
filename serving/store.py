"""The lake as readers see it: published snapshots, and the rows and history of tables, by delta-rs and polars."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from lakehouse.errors import BadQuery, LakeUnreadable, TableMissing
from lakehouse.offsets import Offsets
from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot, resolve_snapshot, snapshot_from_row
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import SNAPSHOTS
from lakehouse.tables.model import Table
from serving.parameters import AS_OF, SNAPSHOT, Given

# A pinned handle holds its table's list of files; readers ask for few versions at a time.
PINNED_HANDLES = 64


def utc_now() -> datetime:
    """The clock of readers."""
    return datetime.now(UTC)


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

    def __init__(self, settings: Settings, clock: Callable[[], datetime] = utc_now) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._pinned: OrderedDict[tuple[str, int], DeltaTable] = OrderedDict()
        self._publications: DeltaTable | None = None
        self._published: tuple[int, tuple[Snapshot, ...]] = (-1, ())

    def snapshots(self) -> tuple[Snapshot, ...]:
        """All published snapshots, oldest first; none where nothing is published yet.

        Raises:
            LakeUnreadable: `gold.snapshots` is there but can't be read.
        """
        with self._lock, reading(SNAPSHOTS):
            if self._publications is None:
                try:
                    self._publications = DeltaTable(self._uri(SNAPSHOTS))
                except TableNotFoundError:
                    return ()
            # A refresher of its own: pinned readers never share this handle.
            self._publications.update_incremental()
            version = self._publications.version()
            if version != self._published[0]:
                rows = pl.scan_delta(self._publications).sort("id").collect()
                self._published = (version, tuple(snapshot_from_row(row) for row in rows.to_dicts()))
            return self._published[1]

    def snapshot(self, *, snapshot_id: int | None = None, as_of: datetime | None = None) -> Snapshot:
        """The snapshot asked for; without an id or an instant, the last one.

        Raises:
            SnapshotMissing: Nothing published answers.
            InFuture: `as_of` is later than now.
        """
        return resolve_snapshot(self.snapshots(), snapshot_id=snapshot_id, as_of=as_of, clock=self._clock())

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
                mend="Ask for a later snapshot",
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
                mend=f"Ask for one from 0 to {newest}",
                name=table.full_name,
            )
        return scan(table, self._at(table, version))

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
            commits = self._opened(table).history(limit)
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
        with reading(table):
            try:
                return DeltaTable(self._uri(table), version=version)
            except TableNotFoundError as error:
                raise TableMissing(
                    f"{table.full_name} has no rows yet",
                    mend="Run `loginlake bronze` and `loginlake refresh`",
                    name=table.full_name,
                ) from error

    def _uri(self, table: Table) -> str:
        return self._settings.table_uri(table.layer, table.name)


def snapshot_asked(asked: Given, store: Store) -> Snapshot:
    """The snapshot that `as_of` or `snapshot` names; without either, the last one.

    Raises:
        BadQuery: Both are given.
        SnapshotMissing: Nothing published answers.
        InFuture: `as_of` is later than now.
    """
    snapshot_id, as_of = asked.one(SNAPSHOT), asked.one(AS_OF)
    if snapshot_id is not None and as_of is not None:
        raise BadQuery("as_of and snapshot are given both", mend="Give one of them")
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


@contextmanager
def reading(table: Table) -> Iterator[None]:
    """Turns what goes wrong with the files of a table into one error that names it.

    Raises:
        LakeUnreadable: In place of an error of delta-rs, polars or the file system.
    """
    try:
        yield
    # A truncated file makes polars panic, and a panic is a BaseException that would end the worker.
    except (DeltaError, OSError, pl.exceptions.ComputeError, pl.exceptions.PanicException) as error:
        raise LakeUnreadable(
            f"{table.full_name} can't be read ({type(error).__name__})",
            mend="Ask for another snapshot, and run `loginlake verify` to see what is damaged",
            table=table.full_name,
        ) from error
