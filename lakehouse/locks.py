"""One writer at a time: file locks taken inside the JVM, so that they live exactly as long as the writer."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import structlog

from lakehouse.errors import LockHeld
from lakehouse.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.lake import Lake

WriterName = Literal["bronze", "refresh"]
LockName = Literal[WriterName, "readers"]

# How long others wait for an upkeep.
UPKEEP_SECONDS = 600.0

log = structlog.get_logger()

# The locks that this process has or is asking for. Its JVM must not open the file of one a second time: where it closes
# that again, the system takes all of its locks on the file away.
_ours: set[Path] = set()
_ours_changes = threading.Lock()


@contextmanager
def writer_lock(lake: Lake, name: WriterName, *, upkeep: bool = False) -> Iterator[None]:
    """Holds the lock of bronze, or the one of everything that writes silver or gold, for the block.

    An upkeep that has it is waited for: it comes by itself, and soon ends. After an interruption the lock stays until
    the JVM ends: there the commit that was interrupted here may go on.

    Raises:
        LockHeld: Another writer has it; its processes are named, and since when.
    """
    path, deadline = lock_path(lake.settings, name), time.monotonic() + UPKEEP_SECONDS
    while (file := _take(lake.spark, path)) is None:
        refusal = _refusal(path, name)
        if not refusal.parts.get("upkeep") or time.monotonic() > deadline:
            raise refusal
        time.sleep(0.5)
    with _held(path, file):
        file.setLength(0)
        file.writeBytes(json.dumps(_ourselves(lake.spark) | {"upkeep": upkeep}))
        yield


@contextmanager
def no_readers(lake: Lake) -> Iterator[None]:
    """Holds off readers that say so by `reader_lock`, for the block.

    Raises:
        LockHeld: One is at work.
    """
    path = lock_path(lake.settings, "readers")
    file = _take(lake.spark, path)
    if file is None:
        raise LockHeld(
            "An API reads this lake, and RETENTION_GRACE_DAYS=0 would take away the files that it has open",
            hint="Stop it, or set LOGINLAKE_RETENTION_GRACE_DAYS to 1 or more",
            name="readers",
        )
    with _held(path, file):
        yield


@contextmanager
def reader_lock(settings: Settings) -> Iterator[None]:
    """Tells for the block that this process reads the lake, where the lake is a folder that can be written."""
    path = lock_path(settings, "readers")
    with ExitStack() as held:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = held.enter_context(path.open("ab+"))
            # An upkeep that may take away what is read holds it for itself until it ends.
            fcntl.lockf(file, fcntl.LOCK_SH)
        except OSError as error:
            log.warning("reader_lock_failed", reason=error.strerror)
        yield


def refuse_in_use(settings: Settings) -> None:
    """Refuses a lake that a job writes or an API reads just now.

    Raises:
        LockHeld: The lock of it.
    """
    for name in get_args(LockName):
        path = lock_path(settings, name)
        with suppress(FileNotFoundError), path.open("rb+") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise _refusal(path, name) from error


def lock_path(settings: Settings, name: LockName) -> Path:
    """The lock's file: beside the tables, or in STATE where the lake is not on a file system."""
    root = settings.state if "://" in settings.root else Path(settings.root)
    return (root / "_locks" / f"{name}.lock").resolve()


def _take(spark: SparkSession, path: Path) -> Any:
    """The lock's file, open and locked in the JVM; None where another process or job has the lock."""
    with _ours_changes:
        if path in _ours:
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        file = spark._jvm.java.io.RandomAccessFile(str(path), "rw")  # type: ignore[union-attr]
        if not file.getChannel().tryLock():
            file.close()
            return None
        _ours.add(path)
        return file


@contextmanager
def _held(path: Path, file: Any) -> Iterator[None]:
    """Gives the lock back at the end of the block, unless that was interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException:
        _give_back(path, file)
        raise
    else:
        _give_back(path, file)


def _give_back(path: Path, file: Any) -> None:
    with _ours_changes:
        file.close()
        _ours.discard(path)


def _ourselves(spark: SparkSession) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        # It holds the lock, and can outlive a killed Python for a moment.
        "jvm": spark._jvm.java.lang.ProcessHandle.current().pid(),  # type: ignore[union-attr]
        "host": socket.gethostname(),
        "job": spark.sparkContext.appName,
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _refusal(path: Path, name: LockName) -> LockHeld:
    if name == "readers":
        return LockHeld(f"An API reads the lake (it holds {path})", hint="Stop it", name=name)
    try:
        holder = json.loads(path.read_text())
    except ValueError:  # the holder is just writing its name
        holder = {}
    pid, jvm, host, since = (holder.get(part, "unknown") for part in ("pid", "jvm", "host", "since"))
    return LockHeld(
        f"Process {pid} has held the lock of {name} since {since} (JVM {jvm}, on {host})",
        hint="Wait until it ends, or end it",
        name=name,
        **holder,
    )
