"""The files of a table, held against its log: what is damaged is an error that names the table, never fewer rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
from lakehouse.tables.model import Table

HINT = "Run `loginlake verify` to see what is damaged"


@contextmanager
def reading(table: Table) -> Iterator[None]:
    """Turns what goes wrong with the files of a table into one error that names it.

    Raises:
        LakeUnreadable: In place of an error of delta-rs, polars, Arrow or the file system.
    """
    try:
        yield
    # A truncated file makes polars panic, and a panic is a BaseException that would end the worker. A flipped byte can
    # give any other of its errors, a text that is none, or a time that is too far for Python.
    except (
        DeltaError,
        OSError,
        OverflowError,
        UnicodeDecodeError,
        pa.ArrowException,
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
    ) as error:
        raise LakeUnreadable(
            f"{table.full_name} can't be read ({type(error).__name__})",
            hint="Ask for another snapshot, and run `loginlake verify` to see what is damaged",
            table=table.full_name,
        ) from error


def checked_rows(table: Table, handle: DeltaTable) -> list[dict[str, Any]]:
    """The rows of an open table that is small, each page held against its checksum, which polars passes over.

    Raises:
        LakeUnreadable: A file is missing, truncated or garbled.
    """
    # From bytes, and without Arrow's threads: one that holds a file of delta-rs when Python ends aborts the process.
    with reading(table):
        folder = PyFileSystem(DeltaStorageHandler(handle.table_uri))
        rows: list[dict[str, Any]] = []
        for name in handle.get_add_actions(flatten=True)["path"].to_pylist():
            with folder.open_input_file(unquote(name)) as stored:
                file = ParquetFile(pa.BufferReader(stored.read_buffer()), page_checksum_verification=True)
            rows += file.read(use_threads=False).to_pylist()
    return rows


def last_commit(table: Table, handle: DeltaTable) -> dict[str, Any]:
    """What the log says of the commit that an open table ends with.

    Raises:
        LakeUnreadable: The commit is no longer there, empty or garbled, which delta-rs itself passes over.
    """
    with reading(table):
        try:
            commit: dict[str, Any] = handle.history(1)[-1]  # those that came since stand before it
        except IndexError as error:
            raise commit_lost(table, handle.version()) from error
    del commit["version"]  # counted from the newest, and so another once there are more
    return commit


def hold_commit(table: Table, version: int, *, uri: str) -> None:
    """Holds a commit of a lake on this machine to have been made, and to have content.

    Delta-rs reads an empty one as no change, and looks for one far beyond the last without end.

    Raises:
        LakeUnreadable: It was not, or has none.
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
    """The error of a table whose commit is gone, or has no content."""
    return LakeUnreadable(
        f"{table.full_name} has lost its commit {version}",
        hint="Run `loginlake refresh`, then `loginlake verify` to see what is damaged",
        table=table.full_name,
    )


def is_intact(table: Table, handle: DeltaTable, *, commit: dict[str, Any]) -> bool:
    """True where what an open table ends with is still that commit."""
    try:
        return last_commit(table, handle) == commit
    except LakeUnreadable:
        return False


def hold_files(table: Table, handle: DeltaTable, *, uri: str) -> None:
    """Holds the files of an open table against its log; those of a lake elsewhere are not looked at.

    Raises:
        LakeUnreadable: One is missing, or of another size.
    """
    if "://" in uri:
        return
    with reading(table):
        files = handle.get_add_actions(flatten=True)
    for path, size in zip(files["path"].to_pylist(), files["size_bytes"].to_pylist(), strict=True):
        file = Path(uri) / unquote(path)
        if not file.is_file() or file.stat().st_size != size:
            raise LakeUnreadable(
                f"{table.full_name} lacks its file {path}, or part of it", hint=HINT, table=table.full_name
            )
