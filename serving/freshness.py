"""How far an answer lies behind the broker: polled in the background, so that no answer waits for a dead broker."""

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
from lakehouse.progress import Offsets, Partition, nested_offsets
from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot

log = structlog.get_logger()

POLL_SECONDS = 1.0
# End offsets older than this are not used.
STALE_SECONDS = 3.0
# How long an answer waits for a record that was never looked up; the broker has answered just before.
LOOKUP_SECONDS = 0.5
READ_TIMEOUT = 2.0
MAX_REMEMBERED = 4096


@dataclass(frozen=True)
class Freshness:
    """What an answer covers.

    Attributes:
        snapshot: The snapshot that it was read from.
        behind_seconds: Now minus the append time of the first broker record that the snapshot does not cover; 0 if
            the snapshot covers all records, None if the broker does not answer.
    """

    snapshot: Snapshot
    behind_seconds: float | None

    def members(self) -> dict[str, Any]:
        """Return the freshness as a JSON object."""
        return {
            "snapshot": self.snapshot.id,
            "at": self.snapshot.at,
            "offsets": nested_offsets(self.snapshot.offsets),
            "behind_seconds": self.behind_seconds,
            "live": False,
            "complete": self.behind_seconds is not None,
        }


@dataclass(frozen=True)
class _Uncovered:
    """The offsets `[start, end)` of a partition that a snapshot does not cover; they may have no record."""

    at: Partition
    start: int
    end: int

    @property
    def start_at(self) -> tuple[Partition, int]:
        """Where it starts: once there is a record, it stays the first one however far the end moves."""
        return self.at, self.start


class BrokerLag:
    """Polls the broker's offsets from a thread of its own.

    Args:
        settings: They name the broker and the topic.
        clock: Returns the current instant, UTC.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._changed = threading.Condition()
        self._wanted: set[_Uncovered] = set()
        self._appended: dict[tuple[Partition, int], int] = {}
        self._empty: set[_Uncovered] = set()
        self._bounds: Mapping[Partition, Bounds] = {}
        self._polled_at: float | None = None
        self._stopped = False
        self._failure: str | None = None
        self._thread = threading.Thread(target=self._run, name="broker-poll", daemon=True)

    def start(self) -> None:
        """Start polling, and wait briefly for the first answer."""
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._polled_at is not None, timeout=POLL_SECONDS)

    def stop(self) -> None:
        """Stop the thread; a call that hangs on a dead broker ends with the process."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(timeout=POLL_SECONDS)

    def ends(self) -> Offsets | None:
        """Return the broker's current end offset of each partition; None if the broker does not answer."""
        with self._changed:
            bounds = self._fresh_bounds()
        return None if bounds is None else {at: bound.end for at, bound in bounds.items()}

    def freshness(self, snapshot: Snapshot) -> Freshness:
        """Return how far the snapshot lies behind the broker."""
        return Freshness(snapshot, self._behind_seconds(snapshot.offsets))

    def _behind_seconds(self, offsets: Offsets) -> float | None:
        with self._changed:
            bounds = self._fresh_bounds()
            if bounds is None or _is_another_topic(offsets, bounds):
                return None
            uncovered = _first_uncovered(offsets, bounds)
            self._wait_for(uncovered)
            if not all(self._is_known(each) for each in uncovered):
                return None
            appended = [self._appended[each.start_at] for each in uncovered if each.start_at in self._appended]
        if not appended:
            return 0.0
        return max(0.0, round(self._clock().timestamp() - min(appended) / 1000, 3))

    def _wait_for(self, uncovered: set[_Uncovered]) -> None:
        unknown = {each for each in uncovered if not self._is_known(each)}
        if unknown:
            self._wanted |= unknown
            self._changed.notify_all()
            self._changed.wait_for(lambda: not unknown & self._wanted, timeout=LOOKUP_SECONDS)

    def _is_known(self, each: _Uncovered) -> bool:
        return each.start_at in self._appended or each in self._empty

    def _fresh_bounds(self) -> Mapping[Partition, Bounds] | None:
        if self._polled_at is None or time.monotonic() - self._polled_at > STALE_SECONDS:
            return None
        return self._bounds

    def _run(self) -> None:
        while not self._stopped:
            try:
                self._poll_bounds()
                self._look_up_wanted()
                self._log_change(None)
            except Exception as error:  # if the thread ends, answers no longer report how far they are behind
                self._log_change(error.what if isinstance(error, BrokerFailed) else repr(error))
                self._drop_wanted()
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or bool(self._wanted), timeout=POLL_SECONDS)

    def _log_change(self, failure: str | None) -> None:
        """Log when the broker stops or starts to answer, not every poll."""
        if (failure is None) != (self._failure is None):
            log.warning("broker_unreachable", reason=failure) if failure else log.info("broker_answers")
        self._failure = failure

    def _drop_wanted(self) -> None:
        """Let the answers that wait for a record continue without it."""
        with self._changed:
            self._wanted.clear()
            self._changed.notify_all()

    def _poll_bounds(self) -> None:
        bounds = partition_bounds(self._settings)
        with self._changed:
            self._bounds, self._polled_at = bounds, time.monotonic()
            self._changed.notify_all()

    def _look_up_wanted(self) -> None:
        """Read the records that answers wait for."""
        with self._changed:
            wanted = frozenset(self._wanted)
        for each in wanted:
            record = first_record(self._settings, each.at, start=each.start, end=each.end, timeout=READ_TIMEOUT)
            self._remember(each, record)
        with self._changed:
            self._wanted -= wanted
            self._changed.notify_all()

    def _remember(self, uncovered: _Uncovered, record: Record | None) -> None:
        """Keep what never changes: when the first record was appended, or that there is none below an end."""
        with self._changed:
            if len(self._appended) + len(self._empty) >= MAX_REMEMBERED:
                self._appended.clear()
                self._empty.clear()
            if record is None:
                self._empty.add(uncovered)
            else:
                self._appended[uncovered.start_at] = record.appended_ms


def _is_another_topic(offsets: Offsets, bounds: Mapping[Partition, Bounds]) -> bool:
    """Return whether the lake has read beyond the broker's end offsets: then it read another topic."""
    return any(at not in bounds or bounds[at].end < offset for at, offset in offsets.items())


def _first_uncovered(offsets: Offsets, bounds: Mapping[Partition, Bounds]) -> set[_Uncovered]:
    """Return the uncovered offsets of each partition that has any, without expired ones."""
    starts = {at: max(offsets.get(at, 0), bound.beginning) for at, bound in bounds.items()}
    return {_Uncovered(at, start, bounds[at].end) for at, start in starts.items() if start < bounds[at].end}
