"""Checks of a table's files against its log: damage is an error that names the table, never fewer rows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import PyFileSystem
from pyarrow.parquet import ParquetFile

from lakehouse.errors import LakeUnreadable
from lakehouse.s3 import is_of_store, unreachable
from lakehouse.tables.model import Table
from serving.checksums import matches, sidecar_name

HINT = "Run `loginlake verify` to see what is damaged"

# What delta-rs records of one commit: operation, timestamp, metrics and more.
CommitInfo = dict[str, Any]


@contextmanager
def reading(table: Table, *, version: int | None = None) -> Iterator[None]:
    """Translate every error of reading the files of a table into one that names the table and, if given, the version.

    Raises:
        LakeUnreadable: In place of an error of delta-rs, polars, Arrow or the file system.
        StoreUnreachable: The object store does not answer, or refuses access.
    """
    try:
        yield
    # A truncated file makes polars panic, and a panic is a BaseException, which would end the worker thread. A flipped
    # byte can raise any other error of polars, and a ValueError: text that is not UTF-8, or an instant out of range.
    except (
        DeltaError,
        OSError,
        OverflowError,
        ValueError,
        pa.ArrowException,
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
    ) as error:
        if is_of_store(str(error)):
            raise unreachable(str(error)) from error
        raise LakeUnreadable(
            f"{table.full_name} can't be read ({type(error).__name__})",
            hint="Read another snapshot, and run `loginlake verify` to see what is damaged",
            table=table.full_name,
            version=version,
        ) from error


def file_names(table: Table, handle: DeltaTable) -> list[str]:
    """Return the paths of an open table's files, relative to its folder and URL-encoded, as the log has them."""
    with reading(table):
        return [str(name) for name in handle.get_add_actions(flatten=True)["path"].to_pylist()]


def checked_rows(table: Table, handle: DeltaTable, *, names: Iterable[str]) -> list[dict[str, Any]]:
    """Return the rows of some files of an open table, each compared with its checksums first; polars does not.

    Each page of a file has a checksum. Hadoop's covers its headers and its footer too, where the file has one.

    Raises:
        LakeUnreadable: A file is missing, truncated or damaged.
    """
    rows: list[dict[str, Any]] = []
    # From bytes and without Arrow's threads: one that holds a file of delta-rs when Python exits aborts the process.
    with reading(table):
        folder = PyFileSystem(DeltaStorageHandler.from_table(handle._table))
        for name in names:
            content = _content(folder, unquote(name))
            with suppress(FileNotFoundError):  # an object store has none
                if not matches(content, _content(folder, sidecar_name(unquote(name))).to_pybytes()):
                    raise OSError(f"{name} differs from its checksum")
            file = ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
            # By polars: eight times as fast as Arrow's own conversion to Python values.
            rows += pl.DataFrame(file.read(use_threads=False)).to_dicts()
    return rows


def _content(folder: PyFileSystem, path: str) -> pa.Buffer:
    with folder.open_input_file(path) as stored:
        return stored.read_buffer()


def last_commit(table: Table, handle: DeltaTable) -> CommitInfo:
    """Return what the log on disk records of the commit that an open table ends with.

    Raises:
        LakeUnreadable: The commit is missing, empty or malformed, which delta-rs itself ignores.
    """
    with reading(table):
        try:
            commit: CommitInfo = handle.history(1)[-1]  # commits made since the table was opened precede it
        except IndexError as error:
            raise commit_lost(table, handle.version()) from error
    del commit["version"]  # counted from the newest commit, so it changes when there are more
    return commit


def is_intact(table: Table, handle: DeltaTable, *, commit: CommitInfo) -> bool:
    """Return whether the commit that an open table ends with is still the given one."""
    try:
        return last_commit(table, handle) == commit
    except LakeUnreadable:
        return False


def check_commit(table: Table, version: int, *, uri: str) -> None:
    """Raise if a commit of a lake on this machine does not exist or is empty; other lakes are not checked.

    Delta-rs reads an empty commit as no change, and searches without end for one far beyond the last.

    Raises:
        LakeUnreadable: The commit is missing or empty.
    """
    log = Path(uri) / "_delta_log"
    if "://" in uri or not log.is_dir():
        return
    commit = log / f"{version:020}.json"
    if commit.is_file():
        is_lost = commit.stat().st_size == 0
    else:
        is_lost = max((file.name for file in log.iterdir() if file.name[:1].isdigit()), default="") < commit.stem
    if is_lost:
        raise commit_lost(table, version)


def commit_lost(table: Table, version: int) -> LakeUnreadable:
    """Return the error for a table whose commit is missing or empty."""
    return LakeUnreadable(
        f"{table.full_name} has lost its commit {version}",
        hint="Run `loginlake refresh`, then `loginlake verify` to see what is damaged",
        table=table.full_name,
        version=version,
    )


def check_files(table: Table, handle: DeltaTable, *, uri: str) -> None:
    """Raise if a file of an open table is missing or has another size than in its log.

    Only files on this machine are checked.

    Raises:
        LakeUnreadable: The first such file.
    """
    if "://" in uri:
        return
    with reading(table):
        files = handle.get_add_actions(flatten=True)
    for name, size in zip(files["path"].to_pylist(), files["size_bytes"].to_pylist(), strict=True):
        if _size_of(f"{uri}/{unquote(name)}") != size:
            raise LakeUnreadable(
                f"File {name} of {table.full_name} is missing or truncated", hint=HINT, table=table.full_name
            )


def _size_of(path: str) -> int | None:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - five times as fast as Path.stat, over thousands of files
    except OSError:
        return None
