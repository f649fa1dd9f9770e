"""What the API reads by: when the lake behind it is damaged, it goes on with the last good snapshot, and says so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from deltalake import DeltaTable

from lakehouse.clock import Clock, utc_now
from lakehouse.errors import LakehouseError, LakeUnreadable
from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.model import Table
from serving.integrity import HINT, hold_files
from serving.store import Store

log = structlog.get_logger()

# Damage that reaches further back lies in files that all snapshots share: then the newest serves what it can.
LOOK_BACK = 10


@dataclass(frozen=True)
class LakeHealth:
    """What was found of the published snapshots.

    Attributes:
        published: All of them, oldest first.
        good: The newest that can be served whole, else the newest; None where none is published.
        damage: What is wrong with it or with those after it.
    """

    published: tuple[Snapshot, ...] = ()
    good: Snapshot | None = None
    damage: LakehouseError | None = None


class FallbackStore(Store):
    """A store that outlives damage to the lake: what it has once seen published stays known.

    A snapshot is good if its versions can be opened, or were, and, where the lake lies on this machine, each file is
    there in its size.

    Args:
        settings: They say where the lake lies.
        clock: Gives now, UTC.
    """

    def __init__(self, settings: Settings, clock: Clock = utc_now) -> None:
        super().__init__(settings, clock)
        # What was seen last is never replaced by an earlier look.
        self._seeing = threading.RLock()
        self._sight = LakeHealth()
        self._lost: LakehouseError | None = None
        self._noted: LakehouseError | None = None

    def snapshots(self) -> tuple[Snapshot, ...]:
        """All published snapshots, oldest first, as of the last time that they could be read.

        Raises:
            LakeUnreadable: They can't be read, and never could.
        """
        with self._seeing:
            try:
                published = super().snapshots()
            except LakeUnreadable as error:
                self._tell(error)
                self._lost = error
                if not self._sight.published:
                    raise
                return self._sight.published
            self._lost = None
            if published is not self._sight.published:
                self._noted = None
                self._sight = self._look(published)
            return published

    def snapshot(self, *, snapshot_id: int | None = None, as_of: datetime | None = None) -> Snapshot:
        """The snapshot asked for; without an id or an instant, the last good one.

        Raises:
            SnapshotMissing: Nothing published answers.
            SnapshotExpired: It is older than what is kept for time travel.
            InFuture: `as_of` is later than now.
        """
        found = super().snapshot(snapshot_id=snapshot_id, as_of=as_of)
        return found if snapshot_id is not None or as_of is not None else self._sight.good or found

    def damage(self) -> LakehouseError | None:
        """What is wrong with the lake as it lies there now, None where nothing is known to be.

        Raises:
            LakeUnreadable: Nothing can be served.
        """
        with self._seeing:
            self._sight = self._look(self.snapshots())
            return self._lost or self._sight.damage or self._noted

    def note(self, error: LakehouseError) -> None:
        """Keeps in mind what went wrong in an answer, until the next publication, and looks what else can be served."""
        with self._seeing:
            self._tell(error)
            self._noted = error
            self._sight = self._look(self._sight.published)

    def _look(self, published: tuple[Snapshot, ...]) -> LakeHealth:
        first: LakehouseError | None = None
        for snapshot in published[: -LOOK_BACK - 1 : -1]:
            # By handles that are open already: a log that was damaged since can't take back what it has shown.
            fault = self._fault_of(snapshot, self._at)
            if fault is None:
                return LakeHealth(published, snapshot, first or self._fault_of(snapshot, self._opened))
            first = first or fault
        return LakeHealth(published, published[-1] if published else None, first)

    def _fault_of(self, snapshot: Snapshot, opened: Callable[[Table, int], DeltaTable]) -> LakehouseError | None:
        """What is wrong with the tables of a snapshot, the first thing found; None where nothing is."""
        for table in SNAPSHOT_TABLES:
            version = snapshot.versions.get(table.full_name)
            try:
                if version is not None:
                    hold_files(table, opened(table, version), uri=self._uri(table))
            except LakehouseError as error:
                what = f"Snapshot {snapshot.id} names version {version} of {table.full_name}: {error.what}"
                fault = LakeUnreadable(what, hint=HINT, table=table.full_name)
                self._tell(fault)
                return fault
        return None

    def _tell(self, fault: LakehouseError) -> None:
        """Logs each fault when it is first seen, not every look at it."""
        if fault.what not in {known.what for known in (self._lost, self._noted, self._sight.damage) if known}:
            log.warning("lake_damaged", what=fault.what)
