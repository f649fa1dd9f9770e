"""The Delta log of a table, read by our own code.

Delta readers skip an empty commit, and take a table whose last commits are lost for an older one. This reader reports
both. A version of a table is the result of the add and remove actions of all commits up to it. Old commits may have
been deleted if a checkpoint, a Parquet file with the remaining adds, replaces them.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem, PyFileSystem, SubTreeFileSystem

from lakehouse.s3 import storage_options
from lakehouse.settings import Settings
from lakehouse.tables.model import Table

LOG = "_delta_log"
COMMIT = re.compile(rf"{LOG}/(\d{{20}})\.json")
CHECKPOINT = re.compile(rf"{LOG}/(\d{{20}})\.checkpoint\.(?:.+\.)?parquet")
VERSION_CHECKSUM = re.compile(rf"{LOG}/(\d{{20}})\.crc")
LAST_CHECKPOINT = f"{LOG}/_last_checkpoint"
# The folder name of a partition whose value is null.
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class TableFolder:
    """The folder of a table, on this machine or in an object store; file names are relative to it."""

    table: Table
    files: FileSystem

    def list_files(self, below: str = "") -> dict[str, int]:
        """Return the size of every file by name; nothing if the folder does not exist."""
        found = self.files.get_file_info(FileSelector(below, recursive=True, allow_not_found=True))
        return {info.path: info.size for info in found if info.type == FileType.File}

    def read(self, name: str) -> pa.Buffer:
        """Return the content of a file.

        Raises:
            OSError: The file can't be read.
        """
        with self.files.open_input_file(name) as file:
            return file.read_buffer()


def table_folder(settings: Settings, table: Table) -> TableFolder:
    """Return the folder of a table of the lake."""
    uri = settings.table_uri(table.layer, table.name)
    if "://" not in uri:
        return TableFolder(table, SubTreeFileSystem(str(Path(uri).absolute()), LocalFileSystem()))
    from deltalake.fs import DeltaStorageHandler

    return TableFolder(table, PyFileSystem(DeltaStorageHandler(uri, options=storage_options(settings))))


class Add(msgspec.Struct, frozen=True):
    """A data file that a commit adds."""

    path: str
    size: int
    partition_values: dict[str, str | None] = msgspec.field(name="partitionValues", default_factory=dict)

    @property
    def is_misplaced(self) -> bool:
        """True if its folder names other partition values than the action; readers use one or the other."""
        folders = dict(part.split("=", 1) for part in unquote(self.path).split("/")[:-1] if "=" in part)
        return folders != {name: value or HIVE_NULL for name, value in self.partition_values.items()}


class Remove(msgspec.Struct, frozen=True):
    """A data file that a commit removes."""

    path: str


class CommitInfo(msgspec.Struct, frozen=True, rename="camel"):
    """The operation of a commit, and the note that its writer left."""

    operation: str | None = None
    user_metadata: str | None = None


class Action(msgspec.Struct, frozen=True, rename="camel"):
    """A line of a commit."""

    add: Add | None = None
    remove: Remove | None = None
    cdc: Add | None = None
    commit_info: CommitInfo | None = None


class LastCheckpoint(msgspec.Struct, frozen=True):
    """`_last_checkpoint`: the checkpoint at which readers start."""

    version: int


ACTIONS = msgspec.json.Decoder(Action)


@dataclass
class DeltaLog:
    """What the log of a table contains, and what is wrong with it.

    Attributes:
        folder: The table's folder.
        oldest: The first version that can be read, at or before the oldest wanted one; None if none can be read.
        newest: The newest version; -1 without commits.
        data_files: Size of every data file that the wanted versions need, by name.
        log_files: Names of the files of the log itself.
        commit_infos: The commitInfo of each commit, by version.
        faults: What is wrong with the log.
    """

    folder: TableFolder
    oldest: int | None = None
    newest: int = -1
    data_files: dict[str, int] = field(default_factory=dict)
    log_files: list[str] = field(default_factory=list)
    commit_infos: dict[int, CommitInfo] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The full name of the table."""
        return self.folder.table.full_name


def read_log(folder: TableFolder, versions: Sequence[int]) -> DeltaLog:
    """Read the log of a table, and find the files that some versions need.

    Args:
        folder: The table's folder.
        versions: The wanted versions besides the newest.
    """
    log = DeltaLog(folder)
    try:
        # Version checksums are listed first: a commit that is missing in the later listing is lost, not yet to come.
        checksums = _by_version(VERSION_CHECKSUM, folder.list_files(LOG))
        listing = folder.list_files(LOG)
    except OSError as error:
        log.faults.append(f"{log.name} has a log that can't be listed: {error}")
        return log
    if not listing:
        return log
    commits, checkpoints = _by_version(COMMIT, listing), _by_version(CHECKPOINT, listing)
    first, log.newest = min(commits, default=0), max(commits, default=-1)
    readable = _readable_checkpoints(log, checkpoints, listing=listing, first=first, versions=versions)
    log.oldest = 0 if first == 0 else min((at for at in readable if at >= first - 1), default=None)
    log.faults += _lost_commits(log, commits, last=max([log.newest, *checksums, *checkpoints]))
    _replay(log, commits, start_files=readable.get(log.oldest or 0, {}), wanted=sorted({*versions, log.newest}))
    log.log_files = sorted(
        name for group in (commits, checkpoints, checksums) for names in group.values() for name in names
    )
    return log


def commit_range(first: int, last: int) -> str:
    """Return the commits as text, such as `commits 3-5`."""
    return f"commit {first}" if first == last else f"commits {first}-{last}"


def _by_version(pattern: re.Pattern[str], listing: dict[str, int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for name in sorted(listing):
        if match := pattern.fullmatch(name):
            found.setdefault(int(match[1]), []).append(name)
    return found


def _lost_commits(log: DeltaLog, commits: dict[int, list[str]], *, last: int) -> Iterator[str]:
    """Yield a fault for each gap between the first commit and the last version that any file of the log mentions."""
    first = min(commits, default=0)
    if log.oldest is None:
        yield f"{log.name} has no checkpoint for the commits before {first}"
    present = sorted({first - 1, *commits, last + 1})
    for before, after in pairwise(present):
        if after - before > 1:
            yield f"{log.name} has lost {commit_range(before + 1, after - 1)}"


def _readable_checkpoints(
    log: DeltaLog, checkpoints: dict[int, list[str]], *, listing: dict[str, int], first: int, versions: Sequence[int]
) -> dict[int, dict[str, int]]:
    """Return the data files in the checkpoints at which other readers and our replay start; report unreadable ones."""
    named = _last_checkpoint(log, listing)
    if named is not None and named not in checkpoints:
        log.faults.append(f"{log.name} has lost checkpoint {named}, which _last_checkpoint names")
    wanted = {at for at in (named, max(checkpoints, default=None)) if at in checkpoints}
    if first > 0:
        low = min([*versions, log.newest])
        wanted |= {max((at for at in checkpoints if first - 1 <= at <= low), default=min(checkpoints, default=0))}
    readable = {}
    for at in sorted(wanted & checkpoints.keys()):
        try:
            readable[at] = dict(_checkpoint_files(log.folder, checkpoints[at]))
        except (OSError, KeyError, pa.ArrowException):
            log.faults.append(f"{log.name} has a checkpoint {at} that can't be read")
    return readable


def _last_checkpoint(log: DeltaLog, listing: dict[str, int]) -> int | None:
    if LAST_CHECKPOINT not in listing:
        return None
    try:
        return msgspec.json.decode(log.folder.read(LAST_CHECKPOINT), type=LastCheckpoint).version
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        log.faults.append(f"{log.name} has a _last_checkpoint that can't be read")
        return None


def _checkpoint_files(folder: TableFolder, names: Sequence[str]) -> Iterator[tuple[str, int]]:
    for name in names:
        rows = pq.ParquetFile(pa.BufferReader(folder.read(name))).read(columns=["add.path", "add.size"])
        for row in rows.column("add").to_pylist():
            if row is not None and row["path"] is not None:
                yield unquote(row["path"]), row["size"]


class _NeededFiles:
    """Finds the data files that some versions contain while the actions of all commits are applied in order.

    Args:
        start_files: Size of the files of the version at which the replay starts, by name.
        start: That version.
        wanted: The versions, ascending.
    """

    def __init__(self, start_files: Mapping[str, int], *, start: int, wanted: Sequence[int]) -> None:
        self._wanted = wanted
        self._live = {path: (size, start) for path, size in start_files.items()}
        self.sizes: dict[str, int] = {}

    def apply(self, action: Action, version: int) -> None:
        """Apply an action of the commit of a version."""
        if action.remove is not None:
            self._remove(unquote(action.remove.path), version)
        if action.add is not None:
            self._live[unquote(action.add.path)] = (action.add.size, version)
        if action.cdc is not None and version > self._wanted[0]:
            self.sizes[unquote(action.cdc.path)] = action.cdc.size

    def finish(self, newest: int) -> dict[str, int]:
        """Return the sizes of all needed files after the newest version."""
        for path in list(self._live):
            self._remove(path, newest + 1)
        return self.sizes

    def _remove(self, path: str, version: int) -> None:
        size, since = self._live.pop(path, (0, version))
        at = bisect_left(self._wanted, since)
        if at < len(self._wanted) and self._wanted[at] < version:
            self.sizes[path] = size


def _replay(
    log: DeltaLog, commits: dict[int, list[str]], *, start_files: dict[str, int], wanted: Sequence[int]
) -> None:
    """Apply the commits in order; keep the files that a wanted version needs, and each commitInfo."""
    start = (log.oldest or 0) if start_files else -1
    files = _NeededFiles(start_files, start=start, wanted=wanted)
    for version in sorted(at for at in commits if at > start):
        for action in _actions(log, version, name=commits[version][0]):
            files.apply(action, version)
            if action.add is not None and action.add.is_misplaced:
                log.faults.append(
                    f"{log.name} has a commit {version} that puts {action.add.path} into another partition"
                )
            if action.commit_info is not None:
                log.commit_infos[version] = action.commit_info
    log.data_files = files.finish(log.newest)


def _actions(log: DeltaLog, version: int, *, name: str) -> list[Action]:
    try:
        actions = ACTIONS.decode_lines(memoryview(log.folder.read(name)))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        log.faults.append(f"{log.name} has a commit {version} that can't be read")
        return []
    if not actions:
        log.faults.append(f"{log.name} has an empty commit {version}")
    return actions
