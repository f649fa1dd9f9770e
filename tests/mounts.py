"""Small file systems of their own, which a test may fill or make read-only."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NO_MOUNT = "file systems can't be mounted here"


@contextmanager
def mounted(folder: Path, *, megabytes: int) -> Iterator[Path]:
    """A file system of that size at the folder, for the block; without leave to mount, the test is skipped."""
    folder.mkdir(parents=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip(NO_MOUNT)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def make_read_only(folder: Path) -> None:
    """Refuses every write to the file system at the folder from now on."""
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)


def fill(folder: Path, *, but: int = 0) -> Path:
    """Takes all room of the file system at the folder but so many bytes; it is free again without this file."""
    filler = folder / "filler"
    free = os.statvfs(folder)
    filler.write_bytes(b"\0" * max(0, free.f_bavail * free.f_frsize - but))
    return filler
