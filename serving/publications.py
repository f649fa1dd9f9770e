"""The published snapshots, read from `gold.snapshots`: each file is parsed once, so a publication costs only a row."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter

from deltalake import DeltaTable

from lakehouse.errors import LakeUnreadable, TableMissing
from lakehouse.snapshots import RETAINED_FROM, Snapshot, snapshot_from_row
from lakehouse.tables.gold import SNAPSHOTS
from serving.delta_tables import DeltaTables
from serving.integrity import CommitInfo, checked_rows, file_names, is_intact, last_commit


@dataclass(frozen=True)
class Published:
    """What was published.

    Attributes:
        snapshots: All snapshots, oldest first.
        retained_from: The id of the oldest snapshot whose files are retained.
    """

    snapshots: tuple[Snapshot, ...] = ()
    retained_from: int = 1


NOTHING_PUBLISHED = Published()


class Publications:
    """A reader of `gold.snapshots` that parses each file once; must not be shared between threads.

    Args:
        tables: Opens the table.
    """

    def __init__(self, tables: DeltaTables) -> None:
        self._tables = tables
        # A handle of its own, and the commit that it ends with: readers never share a handle that moves.
        self._handle: DeltaTable | None = None
        self._commit: CommitInfo = {}
        self._snapshots_by_file: dict[str, tuple[Snapshot, ...]] = {}
        # What the last successful read returned.
        self.published = NOTHING_PUBLISHED

    def read(self) -> Published:
        """Return what is published now; the same object as before if that has not changed.

        Raises:
            LakeUnreadable: The table can't be read, or ends before the last publication that was seen.
        """
        try:
            handle = self._newest_handle()
        except TableMissing:
            return NOTHING_PUBLISHED
        commit = last_commit(SNAPSHOTS, handle)
        if commit != self._commit:
            self._parse(handle, commit)
        return self.published

    def _newest_handle(self) -> DeltaTable:
        """Return the kept handle at the last version; another one if the commit that it ended with was replaced."""
        if self._handle is not None and is_intact(SNAPSHOTS, self._handle, commit=self._commit):
            self._tables.advance(SNAPSHOTS, self._handle)
            return self._handle
        return self._tables.newest(SNAPSHOTS)

    def _parse(self, handle: DeltaTable, commit: CommitInfo) -> None:
        """Parse the files that were added since the last call, or all files if a commit was lost."""
        is_continued = handle is self._handle
        known = self._snapshots_by_file if is_continued else {}
        by_file = {
            name: known[name] if name in known else _snapshots_in(handle, name)
            for name in file_names(SNAPSHOTS, handle)
        }
        snapshots = tuple(sorted(chain.from_iterable(by_file.values()), key=attrgetter("id")))
        self.published = Published(snapshots, _retained_from(handle))
        self._handle, self._commit, self._snapshots_by_file = handle, commit, by_file
        if not is_continued:
            self._tables.close_pinned()


def retained_among(snapshots: Sequence[Snapshot], *, retained_from: int) -> Sequence[Snapshot]:
    """Return those of the snapshots, oldest first, that are retained; `loginlake maintain` lets the others expire."""
    return snapshots[bisect_left(snapshots, retained_from, key=attrgetter("id")) :]


def _snapshots_in(handle: DeltaTable, name: str) -> tuple[Snapshot, ...]:
    return tuple(map(snapshot_from_row, checked_rows(SNAPSHOTS, handle, names=[name])))


def _retained_from(handle: DeltaTable) -> int:
    retained_from = handle.metadata().configuration.get(RETAINED_FROM) or "1"
    if not retained_from.isdecimal():
        raise LakeUnreadable(
            f"{SNAPSHOTS.full_name} has {retained_from!r} as the id of the oldest retained snapshot",
            hint=f"Set its table property {RETAINED_FROM} to the id of a snapshot",
            table=SNAPSHOTS.full_name,
        )
    return int(retained_from)
