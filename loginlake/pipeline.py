"""Bronze and refresh in one Spark process: what `refresh`, `up` and `demo` run."""

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
from loginlake.retention import TableMaintenance, maintain
from silver.job import append_events
from silver.rebuild import rewrite_events
from silver.redrive import Redriven, redrive_events

if TYPE_CHECKING:
    from pyspark.sql.streaming.query import StreamingQuery

log = structlog.get_logger()

POLL_SECONDS = 0.5


def refresh(lake: Lake, *, clock: Clock = utc_now) -> Snapshot | None:
    """Silver, then gold, then the snapshot, under one lock.

    Returns:
        The new snapshot; None where there was nothing new, and so nothing was written.

    Raises:
        LockHeld: Another job writes silver or gold.
    """
    with writer_lock(lake, "refresh"):
        append_events(lake)
        return update_and_publish(lake, clock=clock)


def rebuild_silver(lake: Lake, *, clock: Clock = utc_now) -> Snapshot | None:
    """Silver anew from all of bronze, then gold anew, published as one snapshot.

    Where it is killed, the next refresh does the rest.

    Raises:
        LockHeld: Another job writes silver or gold.
    """
    with writer_lock(lake, "refresh"):
        rewrite_events(lake)
        return rebuild_and_publish(lake, clock=clock)


def rebuild_gold(lake: Lake, *, clock: Clock = utc_now) -> Snapshot | None:
    """Gold anew from silver, published as one snapshot; where it is killed, the next refresh does the rest.

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
    """Broken rows once more through the decoders of today, then gold; where it is killed, the next refresh goes on.

    Returns:
        What was found, and the new snapshot; None where nothing changed.

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
    published: Callable[[Snapshot], None] = lambda _: None,
) -> None:
    """Refreshes until told to stop: as soon as the last one ended, but at most once every so many seconds.

    Now and then, when a refresh has ended, it maintains the lake.

    Raises:
        LockHeld: Another job writes silver or gold when it starts; one that comes later is waited for.
    """
    refreshed: Callable[[Lake], Snapshot | None] = refresh
    maintained = time.monotonic()
    lake.spark.sparkContext.setLocalProperty("spark.scheduler.pool", "refresh")
    while not stop.is_set():
        started = time.monotonic()
        snapshot = refreshed(lake)
        refreshed = refresh_if_free
        if snapshot is not None:
            published(snapshot)
        if time.monotonic() - maintained >= lake.settings.maintenance_interval_seconds:
            maintain_if_free(lake)
            maintained = time.monotonic()
        stop.wait(max(0.0, started + seconds - time.monotonic()))


def refresh_if_free(lake: Lake) -> Snapshot | None:
    """What `refresh` does; where another job, such as a redrive, writes just now, the next time will do."""
    try:
        return refresh(lake)
    except LockHeld as held:
        log.warning("refresh_skipped", reason=held.what)
        return None


def maintain_if_free(lake: Lake) -> list[TableMaintenance]:
    """What `maintain` does; where that must wait for a reader or another job, the next time will do."""
    try:
        return maintain(lake)
    except LockHeld as held:
        log.warning("maintenance_skipped", reason=held.what)
        return []


def run_until(
    stop: threading.Event,
    lake: Lake,
    *,
    published: Callable[[Snapshot], None] = lambda _: None,
) -> None:
    """The bronze stream and the refresh loop, in this one Spark process, until told to stop.

    The first refresh waits for the stream's first batch: what came while nobody ran is then in the first snapshot.

    Raises:
        LakehouseError: The stream or a refresh failed.
    """
    lake.spark.sparkContext.setLocalProperty("spark.scheduler.pool", "bronze")
    with running_stream(lake, once=False) as query, _stopping_with(query, stop):
        while query.lastProgress is None and not stop.wait(POLL_SECONDS):
            pass
        refresh_every(lake, stop, seconds=lake.settings.refresh_interval_seconds, published=published)


@contextmanager
def _stopping_with(query: StreamingQuery, stop: threading.Event) -> Iterator[None]:
    """Sets `stop` when the stream ends by itself, and hands its failure on."""

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
