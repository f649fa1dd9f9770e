"""Bronze, silver and gold in one Spark process: what `refresh`, `rebuild`, `redrive`, `up` and `demo` run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from bronze.stream import running_stream
from gold.job import rebuild_and_publish, update_and_publish
from lakehouse.clock import Clock, utc_now
from lakehouse.errors import LockHeld
from lakehouse.lake import Lake
from lakehouse.locks import writer_lock
from lakehouse.snapshots import Snapshot
from lakehouse.steps import running
from loginlake.maintenance_plan import TableMaintenance
from loginlake.retention import maintain
from silver.job import append_events
from silver.rebuild import rewrite_events
from silver.redrive import Redriven, redrive_events

if TYPE_CHECKING:
    from pyspark.sql.streaming.query import StreamingQuery

log = structlog.get_logger()

POLL_SECONDS = 0.5


def refresh(lake: Lake, *, clock: Clock = utc_now) -> Snapshot | None:
    """Update silver, then gold, and publish a snapshot, under one lock.

    Returns:
        The new snapshot; None if there was nothing new and nothing was written.

    Raises:
        LockHeld: Another job writes silver or gold.
    """
    with writer_lock(lake, "refresh"):
        append_events(lake)
        return update_and_publish(lake, clock=clock)


def rebuild_silver(lake: Lake, *, clock: Clock = utc_now) -> Snapshot | None:
    """Compute silver again from all of bronze, then gold again from silver, and publish one snapshot.

    After a kill, the next refresh completes it.

    Returns:
        The new snapshot; None if the lake is empty.

    Raises:
        LockHeld: Another job writes silver or gold.
    """
    with writer_lock(lake, "refresh"):
        rewrite_events(lake)
        return rebuild_and_publish(lake, clock=clock)


def rebuild_gold(lake: Lake, *, clock: Clock = utc_now) -> Snapshot | None:
    """Compute gold again from silver and publish one snapshot; after a kill, the next refresh completes it.

    Returns:
        The new snapshot; None if the lake is empty.

    Raises:
        LockHeld: Another job writes silver or gold.
    """
    with writer_lock(lake, "refresh"):
        return rebuild_and_publish(lake, clock=clock)


def redrive(
    lake: Lake,
    *,
    reason: str | None = None,
    clock: Clock = utc_now,
) -> tuple[Redriven, Snapshot | None]:
    """Decode broken silver rows again, then update gold and publish; after a kill, the next refresh completes it.

    Returns:
        What the redrive found, and the new snapshot; None if nothing changed.

    Raises:
        LockHeld: Another job writes silver or gold.
    """
    with writer_lock(lake, "refresh"):
        return redrive_events(lake, reason=reason), update_and_publish(lake, clock=clock)


def refresh_every(
    lake: Lake,
    stop: threading.Event,
    *,
    seconds: float,
    on_publish: Callable[[Snapshot], None] = lambda _: None,
) -> None:
    """Refresh again and again until `stop` is set, and maintain the lake every MAINTENANCE_INTERVAL_SECONDS.

    Args:
        lake: The lake.
        stop: Set it to end the loop.
        seconds: Minimum time between the starts of two refreshes.
        on_publish: Called with each new snapshot.

    Raises:
        LockHeld: Another job writes silver or gold at the first refresh; a later refresh is skipped instead.
    """
    refresh_next: Callable[[Lake], Snapshot | None] = refresh
    maintained_at = time.monotonic()
    lake.spark.sparkContext.setLocalProperty("spark.scheduler.pool", "refresh")
    while not stop.is_set():
        started = time.monotonic()
        snapshot = refresh_next(lake)
        refresh_next = refresh_if_free
        if snapshot is not None:
            on_publish(snapshot)
        if time.monotonic() - maintained_at >= lake.settings.maintenance_interval_seconds:
            maintain_if_free(lake)
            maintained_at = time.monotonic()
        rest = max(0.0, started + seconds - time.monotonic())
        with running("Waiting for new records", seconds=rest):
            stop.wait(rest)


def refresh_if_free(lake: Lake) -> Snapshot | None:
    """Refresh the lake, or log and return None if another job holds the lock; the next round tries again."""
    try:
        return refresh(lake)
    except LockHeld as held:
        log.warning("refresh_skipped", reason=held.what)
        return None


def maintain_if_free(lake: Lake) -> list[TableMaintenance]:
    """Maintain the lake, or log and return nothing if a reader or another job holds a lock."""
    try:
        return maintain(lake)
    except LockHeld as held:
        log.warning("maintenance_skipped", reason=held.what)
        return []


def run_until(
    stop: threading.Event,
    lake: Lake,
    *,
    on_publish: Callable[[Snapshot], None] = lambda _: None,
) -> None:
    """Run the bronze stream and the refresh loop in this Spark process until `stop` is set.

    The first refresh waits for the stream's first batch, so that the first snapshot covers records sent before.

    Raises:
        LakehouseError: The stream or a refresh failed.
    """
    lake.spark.sparkContext.setLocalProperty("spark.scheduler.pool", "bronze")
    with running_stream(lake, once=False) as query, _stop_with_stream(query, stop):
        while query.lastProgress is None and not stop.wait(POLL_SECONDS):
            pass
        refresh_every(lake, stop, seconds=lake.settings.refresh_interval_seconds, on_publish=on_publish)


@contextmanager
def _stop_with_stream(query: StreamingQuery, stop: threading.Event) -> Iterator[None]:
    """Set `stop` when the stream ends by itself, and raise its error at the end of the block."""

    def watch() -> None:
        while query.isActive and not stop.wait(POLL_SECONDS):
            pass
        stop.set()

    watcher = threading.Thread(target=watch, name="watch-bronze")
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
    failure = query.exception()
    if failure is not None:
        raise failure
