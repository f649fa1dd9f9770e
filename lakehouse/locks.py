"""One writer at a time: file locks taken inside the JVM, so that they live exactly as long as the writer."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import structlog

from lakehouse.errors import LockHeld
from lakehouse.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LockName = Literal["bronze", "refresh"]

# The job of `loginlake maintain`, and how long others wait for it.
UPKEEP = "loginlake maintain"
UPKEEP_SECONDS = 600.0

log = structlog.get_logger()


@contextmanager
def writer_lock(spark: SparkSession, settings: Settings, name: LockName) -> Iterator[None]:
    """Holds the lock of bronze, or the one of everything that writes silver or gold, for the block.

    An upkeep that has it is waited for: it comes by itself, and soon ends.

    Raises:
        LockHeld: Another writer has it; its processes are named, and since when.
    """
    path, deadline = lock_path(settings, name), time.monotonic() + UPKEEP_SECONDS
    with ExitStack() as held:
        while (file := held.enter_context(_taken(spark, path))) is None:
            refusal = _held(path, name)
            if refusal.parts.get("job") != UPKEEP or time.monotonic() > deadline:
                raise refusal
            time.sleep(0.5)
        file.setLength(0)
        file.writeBytes(json.dumps(_ourselves(spark)))
        yield


@contextmanager
def no_readers(spark: SparkSession, settings: Settings) -> Iterator[None]:
    """Holds off readers that say so by `reader_lock`, for the block.

    Raises:
        LockHeld: One is at work.
    """
    with _taken(spark, lock_path(settings, "readers")) as file:
        if file is None:
            raise LockHeld(
                "An API reads this lake, and GRACE_DAYS=0 would take away the files that it has open",
                mend="Stop it, or set LOGINLAKE_GRACE_DAYS to 1 or more",
                name="readers",
            )
        yield


@contextmanager
def reader_lock(settings: Settings) -> Iterator[None]:
    """Tells for the block that this process reads the lake, where the lake is a folder that can be written."""
    path = lock_path(settings, "readers")
    with ExitStack() as held:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = held.enter_context(path.open("ab+"))
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            log.warning("reader_not_announced", reason=error.strerror)
        yield


def lock_path(settings: Settings, name: LockName | Literal["readers"]) -> Path:
    """The lock's file: beside the tables, or in STATE where the lake is not on a file system."""
    root = settings.state if "://" in settings.root else Path(settings.root)
    return root / "_locks" / f"{name}.lock"


@contextmanager
def _taken(spark: SparkSession, path: Path) -> Iterator[Any]:
    """The lock's file, open and locked in the JVM for the block; None where another process or job has the lock."""
    from py4j.protocol import Py4JJavaError

    path.parent.mkdir(parents=True, exist_ok=True)
    file = spark._jvm.java.io.RandomAccessFile(str(path.resolve()), "rw")  # type: ignore[union-attr]
    try:
        try:
            lock = file.getChannel().tryLock()
        except Py4JJavaError as error:
            # This very JVM holds it: Java says so by an exception, not by None.
            if "OverlappingFileLockException" not in str(error.java_exception):
                raise
            lock = None
        yield file if lock else None
    finally:
        file.close()


def _ourselves(spark: SparkSession) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        # It holds the lock, and can outlive a killed Python for a moment.
        "jvm": spark._jvm.java.lang.ProcessHandle.current().pid(),  # type: ignore[union-attr]
        "host": socket.gethostname(),
        "job": spark.sparkContext.appName,
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _held(path: Path, name: LockName) -> LockHeld:
    try:
        holder = json.loads(path.read_text())
    except ValueError:  # the holder is just writing its name
        holder = {}
    pid, jvm, host, since = (holder.get(part, "unknown") for part in ("pid", "jvm", "host", "since"))
    return LockHeld(
        f"Process {pid} has held the lock of {name} since {since} (JVM {jvm}, on {host})",
        mend="Wait until it ends, or end it",
        name=name,
        **holder,
    )
