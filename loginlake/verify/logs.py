"""The log of a Delta table, read by our own code: readers skip an empty commit, or take a lost one for an older table.

A version of the table is the adds and removes of all commits up to it. Old commits may be gone where a checkpoint,
a Parquet file of the adds that are left, stands for them.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import unquote

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from loginlake.verify.folder import LOG, Folder

COMMIT = re.compile(rf"{LOG}/(\d{{20}})\.json")
CHECKPOINT = re.compile(rf"{LOG}/(\d{{20}})\.checkpoint\.(?:.+\.)?parquet")
VERSION_CHECKSUM = re.compile(rf"{LOG}/(\d{{20}})\.crc")
# The name of a partition without a value.
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
LAST_CHECKPOINT = f"{LOG}/_last_checkpoint"


class Add(msgspec.Struct, frozen=True):
    """A data file that a commit adds."""

    path: str
    size: int
    partition_values: dict[str, str | None] = msgspec.field(name="partitionValues", default_factory=dict)

    @property
    def is_misplaced(self) -> bool:
        """True where its folder names other partition values: some readers go by the one, some by the other."""
        folders = dict(part.split("=", 1) for part in unquote(self.path).split("/")[:-1] if "=" in part)
        return folders != {name: value or HIVE_NULL for name, value in self.partition_values.items()}


class Remove(msgspec.Struct, frozen=True):
    """A data file that a commit removes."""

    path: str


class CommitInfo(msgspec.Struct, frozen=True, rename="camel"):
    """What a commit says of itself."""

    operation: str | None = None
    user_metadata: str | None = None


class Action(msgspec.Struct, frozen=True, rename="camel"):
    """A line of a commit."""

    add: Add | None = None
    remove: Remove | None = None
    cdc: Add | None = None
    commit_info: CommitInfo | None = None


class Hint(msgspec.Struct, frozen=True):
    """`_last_checkpoint`: where readers begin."""

    version: int


ACTIONS = msgspec.json.Decoder(Action)


@dataclass
class Log:
    """What the log of a table says.

    Attributes:
        folder: The table's.
        oldest: The version that the replay begins at, at most the oldest asked; None where none can be read.
        newest: The newest version; -1 without any.
        files: Size of every data file that the asked versions need, by name.
        named: The files of the log itself.
        commit_infos: What each commit says of itself, by version.
        faults: What is wrong with the log.
    """

    folder: Folder
    oldest: int | None = None
    newest: int = -1
    files: dict[str, int] = field(default_factory=dict)
    named: list[str] = field(default_factory=list)
    commit_infos: dict[int, CommitInfo] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The full name of the table."""
        return self.folder.table.full_name


def read_log(folder: Folder, versions: Sequence[int]) -> Log:
    """The log of a table, and which files the versions need.

    Args:
        folder: The table's.
        versions: Those that are asked for, besides the newest.
    """
    # What follows a commit is listed first: where the commit itself is then not there, it is lost, not yet to come.
    followed = _versions(VERSION_CHECKSUM, folder.listing(LOG))
    listing = folder.listing(LOG)
    commits, checkpoints = _versions(COMMIT, listing), _versions(CHECKPOINT, listing)
    log = Log(folder, newest=max(commits, default=-1))
    if not listing:
        return log
    first = min(commits, default=0)
    good = _readable_checkpoints(log, checkpoints, listing=listing, first=first, versions=versions)
    log.oldest = 0 if first == 0 else min((at for at in good if at >= first - 1), default=None)
    log.faults += _lost(log, commits, last=max([log.newest, *followed, *checkpoints]))
    _replay(log, commits, begin=good.get(log.oldest or 0, {}), asked=sorted({*versions, log.newest}))
    log.named = sorted(
        name for names in (*commits.values(), *checkpoints.values(), *followed.values()) for name in names
    )
    return log


def _versions(pattern: re.Pattern[str], listing: dict[str, int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for name in sorted(listing):
        if written := pattern.fullmatch(name):
            found.setdefault(int(written[1]), []).append(name)
    return found


def _lost(log: Log, commits: dict[int, list[str]], *, last: int) -> Iterator[str]:
    """Commits that are missing between the first and the last that there is a trace of."""
    first = min(commits, default=0)
    if log.oldest is None:
        yield f"{log.name} has no checkpoint for the commits before {first}"
    present = sorted({first - 1, *commits, last + 1})
    yield from (
        f"{log.name} has lost {spelled(at + 1, until - 1)}" for at, until in pairwise(present) if until - at > 1
    )


def spelled(first: int, last: int) -> str:
    """Commits by name."""
    return f"commit {first}" if first == last else f"commits {first}-{last}"


def _readable_checkpoints(
    log: Log, checkpoints: dict[int, list[str]], *, listing: dict[str, int], first: int, versions: Sequence[int]
) -> dict[int, dict[str, int]]:
    """The files of those checkpoints that matter: the one readers begin at, and the one our replay begins at."""
    hinted = _hinted(log, listing)
    if hinted is not None and hinted not in checkpoints:
        log.faults.append(f"{log.name} has lost checkpoint {hinted}, which _last_checkpoint names")
    wanted = {at for at in (hinted, max(checkpoints, default=None)) if at in checkpoints}
    if first > 0:
        low = min([*versions, log.newest])
        wanted |= {max((at for at in checkpoints if first - 1 <= at <= low), default=min(checkpoints, default=0))}
    good = {}
    for at in sorted(wanted & checkpoints.keys()):
        try:
            good[at] = dict(_checkpointed(log.folder, checkpoints[at]))
        except (OSError, KeyError, pa.ArrowException):
            log.faults.append(f"{log.name} has a checkpoint {at} that can't be read")
    return good


def _hinted(log: Log, listing: dict[str, int]) -> int | None:
    if LAST_CHECKPOINT not in listing:
        return None
    try:
        return msgspec.json.decode(log.folder.read(LAST_CHECKPOINT), type=Hint).version
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        log.faults.append(f"{log.name} has a _last_checkpoint that can't be read")
        return None


def _checkpointed(folder: Folder, names: Sequence[str]) -> Iterator[tuple[str, int]]:
    for name in names:
        rows = pq.ParquetFile(pa.BufferReader(folder.read(name))).read(columns=["add.path", "add.size"])
        for row in rows.column("add").to_pylist():
            if row is not None and row["path"] is not None:
                yield unquote(row["path"]), row["size"]


def _replay(log: Log, commits: dict[int, list[str]], *, begin: dict[str, int], asked: Sequence[int]) -> None:
    """Follows the commits and keeps the files that one of the asked versions needs."""
    start = (log.oldest or 0) if begin else -1
    live = {path: (size, start) for path, size in begin.items()}

    def gone(path: str, at: int) -> None:
        size, since = live.pop(path, (0, at))
        needed_at = bisect_left(asked, since)
        if needed_at < len(asked) and asked[needed_at] < at:
            log.files[path] = size

    for version in sorted(at for at in commits if at > start):
        for action in _actions(log, version, name=commits[version][0]):
            if action.remove is not None:
                gone(unquote(action.remove.path), version)
            if action.add is not None:
                if action.add.is_misplaced:
                    log.faults.append(
                        f"{log.name} has a commit {version} that puts {action.add.path} into another partition"
                    )
                live[unquote(action.add.path)] = (action.add.size, version)
            if action.cdc is not None and version > asked[0]:
                log.files[unquote(action.cdc.path)] = action.cdc.size
            if action.commit_info is not None:
                log.commit_infos[version] = action.commit_info
    for path in list(live):
        gone(path, log.newest + 1)


def _actions(log: Log, version: int, *, name: str) -> list[Action]:
    try:
        actions = ACTIONS.decode_lines(memoryview(log.folder.read(name)))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        log.faults.append(f"{log.name} has a commit {version} that can't be read")
        return []
    if not actions:
        log.faults.append(f"{log.name} has an empty commit {version}")
    return actions
