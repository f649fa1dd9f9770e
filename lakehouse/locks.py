"""One writer at a time: file locks taken inside the JVM, so that they live exactly as long as the writer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lakehouse.errors import LockHeld
from lakehouse.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LockName = Literal["bronze", "refresh"]


@contextmanager
def writer_lock(spark: SparkSession, settings: Settings, name: LockName) -> Iterator[None]:
    """Holds the lock of bronze, or the one of everything that writes silver or gold, for the block.

    Raises:
        LockHeld: Another writer has it; it is named by process, since when.
    """
    from py4j.protocol import Py4JJavaError

    path = lock_path(settings, name)
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
        if lock is None:
            raise _held(path, name)
        file.setLength(0)
        file.writeBytes(json.dumps({"pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}))
        yield
    finally:
        file.close()


def lock_path(settings: Settings, name: LockName) -> Path:
    """The lock's file: beside the tables, or in STATE where the lake is not on a file system."""
    root = settings.state if "://" in settings.root else Path(settings.root)
    return root / "_locks" / f"{name}.lock"


def _held(path: Path, name: LockName) -> LockHeld:
    try:
        holder = json.loads(path.read_text())
    except ValueError:  # the holder is just writing its name
        holder = {"pid": "unknown", "since": "just now"}
    return LockHeld(
        f"Process {holder['pid']} has held the lock of {name} since {holder['since']}",
        mend="Wait until it ends, or end it",
        name=name,
        **holder,
    )
