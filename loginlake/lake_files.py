"""The files of a lake on this machine, while jobs may write and remove some."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG


def files_below(folder: str | Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the name and the status of every regular file below a folder, except those removed meanwhile."""
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                status = (Path(parent) / name).lstat()
            except FileNotFoundError:
                continue
            if S_ISREG(status.st_mode):
                yield name, status
