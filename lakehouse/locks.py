"""The locks of a lake: files that processes lock, so that a lock lives exactly as long as its holder.

Spark's JVM holds those of writers; the process itself holds those of `up`, `demo` and readers. The locks of writers of
a lake on S3 are leases (lakehouse/leases.py).
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import structlog

from lakehouse.clock import instant_text
from lakehouse.errors import LockHeld
from lakehouse.leases import held_lease, refuse_held_lease
from lakehouse.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from tenacity import RetryCallState

    from lakehouse.lake import Lake

WriterName = Literal["bronze", "refresh"]
# Locks that a job checks before it starts: it does not start while another process holds one of them.
RefusingName = Literal[WriterName, "stack"]
# `up` and `demo` hold "stack" from start to end: two of them on one lake would mix their records in its topic.
LockName = Literal[RefusingName, "readers"]

# How long other writers wait for maintenance to end.
MAINTENANCE_SECONDS = 600.0
# How long they wait for the JVM of a killed process to end, or for its lease on S3, which lasts 30 seconds.
KILLED_SECONDS = 45.0
# How long a process waits for a holder that has not described itself. It only looks whether the lock is free, or has
# taken it just now.
LOOK_SECONDS = 0.5

log = structlog.get_logger()

# The locks that this process holds or is requesting. Its JVM must not open the file of one a second time: closing it
# would release all locks that the process has on the file (POSIX).
_own_locks: set[Path] = set()
_own_locks_guard = threading.Lock()


@contextmanager
def writer_lock(lake: Lake, name: WriterName, *, is_maintenance: bool = False) -> Iterator[None]:
    """Hold the lock of bronze, or the one of all jobs that write silver or gold, for the block.

    If maintenance holds the lock, this waits for it: maintenance starts by itself and ends soon. It also waits for the
    lock of a killed process of this machine, which is released soon. After an interruption (KeyboardInterrupt) the lock
    is held until the JVM ends, since the JVM may still be committing; on S3 it expires.

    Raises:
        LockHeld: Another writer holds the lock; the error names its processes.
    """
    from tenacity import Retrying, retry_if_exception, wait_fixed

    retrying = Retrying(
        retry=retry_if_exception(_is_released_soon),
        stop=_has_waited_enough,
        wait=wait_fixed(0.5),
        before_sleep=_log_first_wait,
        reraise=True,
    )
    holder = _describe_holder(lake.spark) | {"is_maintenance": is_maintenance}
    with ExitStack() as held:
        hold = held_lease if lake.settings.is_on_s3 else _held_file
        retrying(lambda: held.enter_context(hold(lake, name, holder=holder)))
        yield


@contextmanager
def no_readers(lake: Lake) -> Iterator[None]:
    """Keep out the readers that use `reader_lock`, for the block.

    Raises:
        LockHeld: There is such a reader.
    """
    path = lock_path(lake.settings, "readers")
    file = _try_lock(lake.spark, path)
    if file is None:
        raise LockHeld(
            "An API reads this lake, and LOGINLAKE_RETENTION_GRACE_DAYS=0 would delete the files that it has open",
            hint="Stop the API, or set LOGINLAKE_RETENTION_GRACE_DAYS to 1 or more",
            name="readers",
        )
    with _unlocked_at_end(path, file):
        yield


@contextmanager
def reader_lock(settings: Settings) -> Iterator[None]:
    """Register this process as a reader of the lake for the block, if the lake is a writable folder."""
    path = lock_path(settings, "readers")
    with ExitStack() as held:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = held.enter_context(path.open("ab+"))
            # Maintenance that may delete files of readers holds it exclusively until it ends.
            fcntl.lockf(file, fcntl.LOCK_SH)
        except OSError as error:
            log.warning("reader_lock_failed", reason=error.strerror)
        yield


@contextmanager
def stack_lock(settings: Settings) -> Iterator[None]:
    """Hold the lock of `up` and `demo` for the block; this process holds it, not a JVM.

    Raises:
        LockHeld: Another `up` or `demo` uses the lake; the error names its process.
    """
    path = lock_path(settings, "stack")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _lock_held(path, "stack") from error
        file.truncate(0)
        file.write(json.dumps(_describe_process()).encode())
        file.flush()
        yield


def refuse_in_use(settings: Settings) -> None:
    """Raise if a job writes the lake or an API reads it.

    Raises:
        LockHeld: One of the locks is held.
    """
    for name in get_args(LockName):
        _refuse_held(settings, name)


def refuse_second_writer(settings: Settings, *names: RefusingName) -> None:
    """Raise if another writer holds one of these locks.

    Maintenance is ignored, since writers wait for it, and so is a killed writer, whose JVM releases the lock soon.
    This needs no Spark, so that a job learns of it at once. `writer_lock` decides: a lock may still be taken later.

    Raises:
        LockHeld: One of the locks is held; the error names the process.
    """
    for name in names:
        try:
            _refuse_held(settings, name)
        except LockHeld as held:
            if not _is_released_soon(held):
                raise


def lock_path(settings: Settings, name: LockName) -> Path:
    """Return the file of a lock: beside the tables, or in STATE if the lake is not on this machine's file system."""
    root = settings.state if "://" in settings.root else Path(settings.root)
    return (root / "_locks" / f"{name}.lock").resolve()


def _refuse_held(settings: Settings, name: LockName) -> None:
    if settings.is_on_s3 and name in get_args(WriterName):
        refuse_held_lease(settings, name)
        return
    path = lock_path(settings, name)

    def look() -> None:
        with suppress(FileNotFoundError), path.open("rb+") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise _lock_held(path, name) from error

    _until_described(look)


@contextmanager
def _held_file(lake: Lake, name: WriterName, *, holder: Mapping[str, Any]) -> Iterator[None]:
    path = lock_path(lake.settings, name)

    def lock() -> Any:
        file = _try_lock(lake.spark, path)
        if file is None:
            raise _lock_held(path, name)
        return file

    file = _until_described(lock)
    with _unlocked_at_end(path, file):
        file.setLength(0)
        file.writeBytes(json.dumps(holder))
        yield


def _until_described(attempt: Callable[[], Any]) -> Any:
    """Call a function again, for a moment, while the holder of the lock has not described itself."""
    from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

    return Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, LockHeld) and "pid" not in error.parts),
        stop=stop_after_delay(LOOK_SECONDS),
        wait=wait_fixed(0.05),
        reraise=True,
    )(attempt)


def _log_first_wait(waiting: RetryCallState) -> None:
    if waiting.attempt_number == 1 and waiting.outcome is not None:
        log.info("waiting_for_lock", reason=str(waiting.outcome.exception()))


def _is_released_soon(error: BaseException) -> bool:
    return isinstance(error, LockHeld) and (_is_held_by_maintenance(error) or _is_held_by_killed_process(error))


def _has_waited_enough(waiting: RetryCallState) -> bool:
    held = waiting.outcome.exception() if waiting.outcome else None
    by_maintenance = isinstance(held, LockHeld) and _is_held_by_maintenance(held)
    return (waiting.seconds_since_start or 0.0) >= (MAINTENANCE_SECONDS if by_maintenance else KILLED_SECONDS)


def _is_held_by_maintenance(held: LockHeld) -> bool:
    return bool(held.parts.get("is_maintenance"))


def _is_held_by_killed_process(held: LockHeld) -> bool:
    """Return True if the holder ran on this machine and has ended; its JVM or its lease ends within seconds."""
    pid, host = held.parts.get("pid"), held.parts.get("host")
    if not isinstance(pid, int) or host != socket.gethostname():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # a process of another user
        return False
    return False


def _try_lock(spark: SparkSession, path: Path) -> Any:
    """Return the lock's file, opened and locked in the JVM; None if another process or job holds the lock."""
    with _own_locks_guard:
        if path in _own_locks:
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        file = spark._jvm.java.io.RandomAccessFile(str(path), "rw")  # type: ignore[union-attr]
        if not file.getChannel().tryLock():
            file.close()
            return None
        _own_locks.add(path)
        return file


@contextmanager
def _unlocked_at_end(path: Path, file: Any) -> Iterator[None]:
    """Release the lock at the end of the block, unless the block was interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException:
        _unlock(path, file)
        raise
    else:
        _unlock(path, file)


def _unlock(path: Path, file: Any) -> None:
    """Release a lock and remove our description: a process that locks the file only to look must not seem to be us."""
    with _own_locks_guard:
        try:
            file.setLength(0)
        finally:
            file.close()
            _own_locks.discard(path)


def _describe_holder(spark: SparkSession) -> dict[str, Any]:
    return _describe_process() | {
        # The JVM holds the lock, and may outlive a killed Python process for a moment.
        "jvm": spark._jvm.java.lang.ProcessHandle.current().pid(),  # type: ignore[union-attr]
        "job": spark.sparkContext.appName,
    }


def _describe_process() -> dict[str, Any]:
    since = instant_text(datetime.now(UTC).replace(microsecond=0))
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since}


def _lock_held(path: Path, name: LockName) -> LockHeld:
    if name == "readers":
        return LockHeld(f"An API reads the lake and holds {path}", hint="Stop the API", name=name)
    try:
        holder = json.loads(path.read_text())
    except ValueError:  # it has not described itself
        holder = {}
    if name == "stack":
        pid, host, since = (holder.get(part, "unknown") for part in ("pid", "host", "since"))
        return LockHeld(
            f"The lake at {path.parent.parent} is in use by up or demo since {since} (process {pid}, on {host})",
            hint="Stop it with Ctrl-C, or use another lake with LOGINLAKE_ROOT",
            name=name,
            **holder,
        )
    return LockHeld.by(holder, name=name, hint="Wait until it ends, or end it")
