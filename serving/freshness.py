"""How far an answer lies behind the broker: asked in the background, so that no answer waits for a dead broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from lakehouse.clock import Clock
from lakehouse.errors import BrokerFailed
from lakehouse.kafka import Bounds, Record, first_record, partition_bounds
from lakehouse.offsets import Offsets, Partition, nested_offsets
from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot

log = structlog.get_logger()

LOOK_EVERY = 1.0
# Ends older than that say nothing about now.
STALE_AFTER = 3.0
# What an answer may wait for a record that was never looked up; the broker has answered just before.
PATIENCE = 0.5
READ_TIMEOUT = 2.0
REMEMBERED = 4096


@dataclass(frozen=True)
class Freshness:
    """What an answer covers.

    Attributes:
        snapshot: The snapshot it was read from.
        behind_seconds: Now minus the append time of the first broker record that it does not cover; 0 if there is
            none, None where the broker can't be asked.
    """

    snapshot: Snapshot
    behind_seconds: float | None

    def members(self) -> dict[str, Any]:
        """The freshness as a JSON object."""
        return {
            "snapshot": self.snapshot.id,
            "at": self.snapshot.at,
            "offsets": nested_offsets(self.snapshot.offsets),
            "behind_seconds": self.behind_seconds,
            "live": False,
            "complete": self.behind_seconds is not None,
        }


@dataclass(frozen=True)
class _First:
    """The first record of `[start, end)`, which may hold none."""

    at: Partition
    start: int
    end: int

    @property
    def start_at(self) -> tuple[Partition, int]:
        """Its place; once there is a record, it stays the first one however far the end moves."""
        return self.at, self.start


class BrokerLag:
    """Keeps the broker's offsets at hand, from a thread of its own.

    Args:
        settings: They name the broker and the topic.
        clock: Gives now, UTC.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._changed = threading.Condition()
        self._wanted: set[_First] = set()
        self._appended: dict[tuple[Partition, int], int] = {}
        self._empty: set[_First] = set()
        self._bounds: Mapping[Partition, Bounds] = {}
        self._seen_at: float | None = None
        self._stopped = False
        self._failure: str | None = None
        self._thread = threading.Thread(target=self._run, name="broker-watch", daemon=True)

    def start(self) -> None:
        """Begins to look, and waits a moment for the first answer."""
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._seen_at is not None, timeout=LOOK_EVERY)

    def stop(self) -> None:
        """Ends the thread; a call to a dead broker that still hangs ends with the process."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(timeout=LOOK_EVERY)

    def ends(self) -> Offsets | None:
        """The broker's end offset of each partition as of just now; None where it can't be asked."""
        with self._changed:
            bounds = self._fresh_bounds()
        return None if bounds is None else {at: bound.end for at, bound in bounds.items()}

    def freshness(self, snapshot: Snapshot) -> Freshness:
        """How far the snapshot lies behind the broker."""
        return Freshness(snapshot, self._behind_seconds(snapshot.offsets))

    def _behind_seconds(self, offsets: Offsets) -> float | None:
        with self._changed:
            bounds = self._fresh_bounds()
            if bounds is None or _is_another_topic(offsets, bounds):
                return None
            firsts = _first_uncovered(offsets, bounds)
            self._wait_for(firsts)
            if not all(self._is_known(first) for first in firsts):
                return None
            appended = [self._appended[first.start_at] for first in firsts if first.start_at in self._appended]
        if not appended:
            return 0.0
        return max(0.0, round(self._clock().timestamp() - min(appended) / 1000, 3))

    def _wait_for(self, firsts: set[_First]) -> None:
        unknown = {first for first in firsts if not self._is_known(first)}
        if unknown:
            self._wanted |= unknown
            self._changed.notify_all()
            self._changed.wait_for(lambda: not unknown & self._wanted, timeout=PATIENCE)

    def _is_known(self, first: _First) -> bool:
        return first.start_at in self._appended or first in self._empty

    def _fresh_bounds(self) -> Mapping[Partition, Bounds] | None:
        if self._seen_at is None or time.monotonic() - self._seen_at > STALE_AFTER:
            return None
        return self._bounds

    def _run(self) -> None:
        while not self._stopped:
            try:
                self._look()
                self._look_up()
                self._tell(None)
            except BrokerFailed as error:
                self._tell(error.what)
                self._let_go()
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or bool(self._wanted), timeout=LOOK_EVERY)

    def _tell(self, failure: str | None) -> None:
        """Logs when the broker stops or starts to answer, not every look."""
        if (failure is None) != (self._failure is None):
            log.warning("broker_unreachable", reason=failure) if failure else log.info("broker_answers")
        self._failure = failure

    def _let_go(self) -> None:
        """Lets the answers that wait for a record go on without it."""
        with self._changed:
            self._wanted.clear()
            self._changed.notify_all()

    def _look(self) -> None:
        bounds = partition_bounds(self._settings)
        with self._changed:
            self._bounds, self._seen_at = bounds, time.monotonic()
            self._changed.notify_all()

    def _look_up(self) -> None:
        """Reads the records that answers wait for."""
        with self._changed:
            wanted = frozenset(self._wanted)
        for first in wanted:
            record = first_record(self._settings, first.at, start=first.start, end=first.end, timeout=READ_TIMEOUT)
            self._remember(first, record)
        with self._changed:
            self._wanted -= wanted
            self._changed.notify_all()

    def _remember(self, first: _First, record: Record | None) -> None:
        """Keeps what never changes: when the first record was appended, or that there is none below an end."""
        with self._changed:
            if len(self._appended) + len(self._empty) >= REMEMBERED:
                self._appended.clear()
                self._empty.clear()
            if record is None:
                self._empty.add(first)
            else:
                self._appended[first.start_at] = record.appended_ms


def _is_another_topic(offsets: Offsets, bounds: Mapping[Partition, Bounds]) -> bool:
    """True where the lake has read further than the broker goes: it is not the topic that was read."""
    return any(at not in bounds or bounds[at].end < offset for at, offset in offsets.items())


def _first_uncovered(offsets: Offsets, bounds: Mapping[Partition, Bounds]) -> set[_First]:
    """The first record that is not covered, for each partition with any; what expired is passed over."""
    starts = {at: max(offsets.get(at, 0), bound.beginning) for at, bound in bounds.items()}
    return {_First(at, start, bounds[at].end) for at, start in starts.items() if start < bounds[at].end}
