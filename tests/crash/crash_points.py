"""The points at which a job is killed, recognized from outside by the files that the job writes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from lakehouse.locks import WriterName, lock_path
from lakehouse.settings import Settings
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import DETECTIONS, FIRST_SEEN, SNAPSHOTS
from lakehouse.tables.metrics import PAIR_ACTIVITY, STORED_METRICS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS

# A refresh with new logins writes each of these.
ACTIVITY = (PAIR_ACTIVITY, *(metric.table for metric in STORED_METRICS))
GOLD = (*ACTIVITY, FIRST_SEEN, DETECTIONS)
# A Parquet file begins and ends with these bytes.
MAGIC = b"PAR1"
MIN_PARQUET_BYTES = 12


class LakeFiles:
    """The files that a job has written to a lake and to the stream's checkpoint since this object was created."""

    def __init__(self, settings: Settings) -> None:
        self._root = Path(settings.root)
        self._locks = [lock_path(settings, name) for name in get_args(WriterName)]
        self._checkpoint = settings.state / "bronze-checkpoint"
        self._created_at = time.time_ns()
        # Jobs that were killed before leave data files that no commit names.
        self._old_files = {table.full_name: set(self._data_files(table)) for table in (RAW_LOGS, SNAPSHOTS)}

    def lock_holders(self) -> list[dict[str, Any]]:
        """Return the holders that the writers' lock files describe, without a file that is being written."""
        holders = []
        for lock in self._locks:
            with suppress(FileNotFoundError, ValueError):
                holders.append(json.loads(lock.read_text()))
        return holders

    def committed_at(self, table: Table) -> int:
        """Return when the table's newest commit was written, in nanoseconds; 0 if this job has made no commit."""
        newest = max((name for name in self._log(table) if name.endswith(".json")), default=None)
        return self._changed_at(self._folder(table) / "_delta_log" / newest) if newest else 0

    def uncommitted_files(self, table: Table) -> list[Path]:
        """Return data files of this job that no commit names yet."""
        files = set(self._data_files(table)) - self._old_files[table.full_name]
        committed_at = self.committed_at(table)
        return [file for file in files if self._changed_at(file) > committed_at]

    def is_writing_checkpoint(self, table: Table) -> bool:
        """True while a Delta checkpoint is written under a temporary name."""
        return any(name.startswith(".") and ".checkpoint." in name and ".tmp" in name for name in self._log(table))

    def planned_at(self) -> int:
        """Return when the stream planned its unfinished batch, in nanoseconds; 0 if it has no unfinished batch."""
        planned, finished = (
            {name for name in _names(self._checkpoint / folder) if name.isdigit()} for folder in ("offsets", "commits")
        )
        newest = max(planned, key=int, default=None)
        return 0 if newest is None or newest in finished else self._changed_at(self._checkpoint / "offsets" / newest)

    def _log(self, table: Table) -> list[str]:
        return _names(self._folder(table) / "_delta_log")

    def _folder(self, table: Table) -> Path:
        return self._root / table.layer / table.name

    def _data_files(self, table: Table) -> Iterator[Path]:
        folder = self._folder(table)
        partitions = [name for name in _names(folder) if "=" in name] or [""]
        for partition in partitions:
            for name in _names(folder / partition):
                if name.endswith(".parquet"):
                    yield folder / partition / name

    def _changed_at(self, file: Path) -> int:
        try:
            changed_at = file.stat().st_mtime_ns
        except FileNotFoundError:  # deleted since it was listed
            return 0
        return changed_at if changed_at > self._created_at else 0


@dataclass(frozen=True)
class CrashPoint:
    """A point in the work of a job.

    Attributes:
        name: The name that the documentation uses.
        job: The command that runs the job.
        is_now: True while the files show that the job is at this point.
    """

    name: str
    job: str
    is_now: Callable[[LakeFiles], bool]


def _is_planned(files: LakeFiles) -> bool:
    return files.planned_at() > files.committed_at(RAW_LOGS) and not files.uncommitted_files(RAW_LOGS)


def _is_writing_data(files: LakeFiles) -> bool:
    return not all(map(_is_complete, files.uncommitted_files(RAW_LOGS)))


def _has_written_data(files: LakeFiles) -> bool:
    uncommitted = files.uncommitted_files(RAW_LOGS)
    return bool(uncommitted) and all(map(_is_complete, uncommitted))


def _has_committed(files: LakeFiles) -> bool:
    return files.committed_at(RAW_LOGS) > files.planned_at() > 0


def _is_writing_checkpoint(files: LakeFiles) -> bool:
    return files.is_writing_checkpoint(RAW_LOGS)


def _is_ahead_of_gold(files: LakeFiles) -> bool:
    return files.committed_at(EVENTS) > max(map(files.committed_at, GOLD))


def _is_between_gold_tables(files: LakeFiles) -> bool:
    base, *metrics = map(files.committed_at, ACTIVITY)
    return base > min(metrics)


def _is_about_to_publish(files: LakeFiles) -> bool:
    return bool(files.uncommitted_files(SNAPSHOTS))


CRASH_POINTS = (
    CrashPoint("after the offset log", "bronze", _is_planned),
    CrashPoint("during parquet", "bronze", _is_writing_data),
    CrashPoint("between parquet and commit", "bronze", _has_written_data),
    CrashPoint("after the commit", "bronze", _has_committed),
    CrashPoint("during a Delta checkpoint", "bronze", _is_writing_checkpoint),
    CrashPoint("between silver and gold", "up", _is_ahead_of_gold),
    CrashPoint("between gold tables", "gold", _is_between_gold_tables),
    CrashPoint("before the snapshot row", "gold", _is_about_to_publish),
)


def _is_complete(file: Path) -> bool:
    try:
        with file.open("rb") as content:
            size = content.seek(0, os.SEEK_END)
            content.seek(max(0, size - len(MAGIC)))
            return size >= MIN_PARQUET_BYTES and content.read() == MAGIC
    except FileNotFoundError:
        return False


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder)]
    except FileNotFoundError:  # not created yet
        return []
