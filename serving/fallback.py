"""The API's store: answers from a state in memory, and falls back to the last good snapshot while the lake is damaged.

One thread reads the lake and replaces the state; a request reads the state and waits for nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from lakehouse.clock import Clock, utc_now
from lakehouse.errors import LakehouseError, LakeUnreadable
from lakehouse.settings import Settings
from lakehouse.snapshots import NO_SNAPSHOT, Snapshot
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.metrics import PAIR_ACTIVITY, STORED_METRICS
from lakehouse.tables.model import Table
from serving.integrity import HINT, check_files
from serving.problems import NotReady
from serving.publications import NOTHING_PUBLISHED, Published
from serving.store import Store, collected

log = structlog.get_logger()

# An answer is at most this much older than the last publication; a poll without a publication takes about 2 ms.
POLL_SECONDS = 0.5
# How often the files of the served snapshot are compared with the log: 5,000 files take 50 ms.
CHECK_SECONDS = 5.0
# A poll that hangs, such as one of an object store that is down, must not look like a healthy lake.
STALE_SECONDS = 30.0
# Damage further back is in files that all snapshots share; then the newest snapshot is served as far as possible.
LOOK_BACK = 10
METRIC_TABLES = (PAIR_ACTIVITY, *(metric.table for metric in STORED_METRICS))

Version = tuple[str, int | None]
Damages = Mapping[Version, LakehouseError]


@dataclass(frozen=True)
class LakeState:
    """The lake as the API last read it; immutable, so each read makes a new one.

    Attributes:
        published: The snapshots as of the last time that they could be read.
        served: The newest whole snapshot, or the newest one if no snapshot is whole; None if nothing is published.
        damage: What is wrong with the served snapshot or a later one; None if no damage is known.
        is_ready: True if at least one metric can be answered.
    """

    published: Published = NOTHING_PUBLISHED
    served: Snapshot | None = None
    damage: LakehouseError | None = None
    is_ready: bool = False


class FallbackStore(Store):
    """A store that outlives damage to the lake: snapshots that were once read as published stay known.

    A snapshot is whole if its versions can be opened, or were opened before, and,
    if the lake is on this machine, every file exists and has the size that the log records.

    Args:
        settings: They name the lake.
        clock: Returns the current instant, UTC.
    """

    def __init__(self, settings: Settings, clock: Clock = utc_now) -> None:
        super().__init__(settings, clock)
        self._state = LakeState()
        self._refreshing = threading.Lock()  # never taken by a request
        self._wake = threading.Event()
        self._stopped = False
        self._polled_at: float | None = None
        self._checked_at = 0.0
        # Damage that requests met since the last publication.
        self._noted: dict[Version, LakehouseError] = {}
        self._thread = threading.Thread(target=self._run, name="lake-poll", daemon=True)

    def start(self) -> None:
        """Read the lake once, then keep the state up to date from a thread."""
        self.refresh()
        self._polled_at = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; a read that hangs ends with the process."""
        self._stopped = True
        self._wake.set()
        self._thread.join(timeout=POLL_SECONDS)

    @property
    def state(self) -> LakeState:
        """The state as last read; damaged if the thread has not been able to read the lake for a while."""
        polled_at = self._polled_at
        if polled_at is None or time.monotonic() - polled_at < STALE_SECONDS:
            return self._state
        stale = LakeUnreadable(f"The lake has not answered for {STALE_SECONDS:.0f} seconds", hint=HINT)
        return replace(self._state, damage=self._state.damage or stale)

    def published(self) -> Published:
        """Return the published snapshots as of the last time that they could be read.

        Raises:
            LakeUnreadable: They can't be read, and never could.
        """
        state = self._state
        if state.served is None and state.damage is not None:
            raise LakeUnreadable(state.damage.what, hint=state.damage.hint)
        return state.published

    def snapshot(self, *, snapshot_id: int | None = None, as_of: datetime | None = None) -> Snapshot:
        """Return the snapshot with an id, or the last one published by an instant; without either, the served one.

        Raises:
            NotReady: Nothing is published yet.
            SnapshotMissing: No published snapshot matches.
            SnapshotExpired: The snapshot is no longer retained.
            InFuture: `as_of` is later than now.
        """
        served = self._state.served
        if served is None:
            self.published()
            raise NotReady("No snapshot is published yet", hint=NO_SNAPSHOT)
        if snapshot_id is None and as_of is None:
            return served
        return super().snapshot(snapshot_id=snapshot_id, as_of=as_of)

    def note(self, error: LakehouseError) -> None:
        """Record damage that a request met, and wake the thread so that it looks for a snapshot without it."""
        table, version = error.parts.get("table"), error.parts.get("version")
        self._noted[str(table), version if isinstance(version, int) else None] = error
        self._wake.set()

    def refresh(self) -> LakeState:
        """Read what is published, check the files of the newest snapshots, and replace the state."""
        with self._refreshing:
            published, lost = self._read_published()
            if published is not self._state.published:
                self._noted.clear()
            state = self._examine(published, dict(self._noted))
            damage = lost or state.damage or next(iter(self._noted.values()), None)
            if damage is not None and self._is_new(damage):
                log.warning("lake_damaged", what=damage.what)
            self._state = replace(state, damage=damage)
            self._checked_at = time.monotonic()
            return self._state

    def _run(self) -> None:
        while not self._stopped:
            is_woken = self._wake.wait(POLL_SECONDS)
            if is_woken:
                self._wake.clear()
            try:
                if is_woken or self._is_due() or self._has_news():
                    self.refresh()
                self._polled_at = time.monotonic()
            except Exception as error:  # without the thread, answers would silently grow old
                unread = LakeUnreadable(f"The lake can't be read ({type(error).__name__})", hint=HINT)
                if self._is_new(unread):
                    log.exception("lake_poll_failed")
                self._state = replace(self._state, damage=unread)
                self._checked_at = 0.0  # check again with the next poll

    def _is_new(self, damage: LakehouseError) -> bool:
        return self._state.damage is None or self._state.damage.what != damage.what

    def _is_due(self) -> bool:
        return time.monotonic() - self._checked_at >= CHECK_SECONDS

    def _has_news(self) -> bool:
        with self._refreshing:
            published, _ = self._read_published()
        return published is not self._state.published

    def _read_published(self) -> tuple[Published, LakehouseError | None]:
        """Return what is published, or what was and why it can't be read now."""
        try:
            return super().published(), None
        except LakeUnreadable as error:
            return self._state.published, error

    def _examine(self, published: Published, noted: Damages) -> LakeState:
        """Return the newest whole snapshot of the last ones, else the newest as far as it can be read."""
        damaged: Damages = {}
        for snapshot in published.snapshots[: -LOOK_BACK - 1 : -1]:
            found = self._damages(snapshot, noted)
            damaged = damaged or found
            if not found:
                damage = next(iter(damaged.values()), None) or self._log_damage(snapshot)
                return LakeState(published, snapshot, damage, is_ready=True)
        if not damaged:
            return LakeState(published)
        newest = published.snapshots[-1]
        versions = {(table.full_name, newest.versions.get(table.full_name)) for table in METRIC_TABLES}
        return LakeState(published, newest, next(iter(damaged.values())), is_ready=bool(versions - damaged.keys()))

    def _damages(self, snapshot: Snapshot, noted: Damages) -> Damages:
        """Return what is wrong with each damaged table of a snapshot."""
        damages: dict[Version, LakehouseError] = {}
        for table, version in _versions(snapshot):
            key = (table.full_name, version)
            error = noted[key] if key in noted else self._error_of(table, version)
            if error is not None:
                damages[key] = _named(snapshot, error, table=table)
        return damages

    def _error_of(self, table: Table, version: int) -> LakehouseError | None:
        """Return what is wrong with the files of a version; None if no damage is found.

        Its handle stays open, so later damage to the log can't take back the files that it lists. A version that is not
        served yet is warmed: its first read resolves the list of files, and no request should wait for that.
        """
        try:
            pinned = self._tables.pinned(table, version)
            check_files(table, pinned.handle, uri=self._tables.uri(table))
            if table in METRIC_TABLES and not self._is_served(table, version):
                collected(pinned.rows.head(1), table, version=version)
        except LakehouseError as error:
            return error
        return None

    def _log_damage(self, snapshot: Snapshot) -> LakehouseError | None:
        """Return the first table of the served snapshot whose version can't be opened from disk any more.

        Not for a new snapshot: its versions were just opened, and the next check is soon.
        """
        for table, version in _versions(snapshot) if snapshot == self._state.served else ():
            try:
                self._tables.at(table, version)
            except LakehouseError as error:
                return _named(snapshot, error, table=table)
        return None

    def _is_served(self, table: Table, version: int) -> bool:
        served = self._state.served
        return served is not None and served.versions.get(table.full_name) == version


def _versions(snapshot: Snapshot) -> Iterator[tuple[Table, int]]:
    for table in SNAPSHOT_TABLES:
        version = snapshot.versions.get(table.full_name)
        if version is not None:
            yield table, version


def _named(snapshot: Snapshot, error: LakehouseError, *, table: Table) -> LakeUnreadable:
    """Return the error of one table as one of the snapshot that names it."""
    version = snapshot.versions[table.full_name]
    return LakeUnreadable(
        f"Snapshot {snapshot.id} names version {version} of {table.full_name}: {error.what}",
        hint=error.hint,
        table=table.full_name,
        version=version,
    )
