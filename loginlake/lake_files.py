"""The files of a lake, while jobs may write and remove some."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from lakehouse import s3
from lakehouse.settings import Settings


@dataclass(frozen=True)
class LakeFile:
    """A file of a lake.

    Attributes:
        name: Its name without folders.
        size: Its size in bytes.
        changed_at: When it was last written, in seconds since the epoch.
    """

    name: str
    size: int
    changed_at: float


def lake_files(settings: Settings, *names: str) -> Iterator[LakeFile]:
    """Yield every file of the lake, or of one of its folders, except those removed meanwhile.

    Args:
        settings: They name the lake.
        names: The names of a folder below the lake's root, such as layer and table; none for the whole lake.

    Raises:
        OSError: The lake is on S3, which does not answer or refuses access.
    """
    if settings.is_on_s3:
        return _objects_below(s3.path_of(settings, *names))
    return files_below(Path(settings.root, *names))


def files_below(folder: Path) -> Iterator[LakeFile]:
    """Yield every regular file below a folder of this machine, except those removed meanwhile."""
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                status = (Path(parent) / name).lstat()
            except FileNotFoundError:
                continue
            if S_ISREG(status.st_mode):
                yield LakeFile(name, status.st_size, status.st_mtime)


def _objects_below(path: str) -> Iterator[LakeFile]:
    from pyarrow.fs import FileSelector, FileType

    for info in s3.file_system().get_file_info(FileSelector(path, recursive=True, allow_not_found=True)):
        if info.type == FileType.File:
            yield LakeFile(info.base_name, info.size, info.mtime.timestamp())
