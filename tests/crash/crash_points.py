"""The named points at which a job is killed, each seen from outside: in the files that the job leaves."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lakehouse.settings import Settings
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import DETECTIONS, PAIR_ACTIVITY, SNAPSHOTS, STORED_METRICS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS

GOLD = (PAIR_ACTIVITY, *(metric.table for metric in STORED_METRICS), DETECTIONS)
# A parquet file begins and ends with these letters; between them it has a footer and its length.
MAGIC = b"PAR1"
SMALLEST_PARQUET = 12


class LakeFiles:
    """What the files of a lake and of the stream's checkpoint tell of the job that has just been started."""

    def __init__(self, settings: Settings) -> None:
        self._root = Path(settings.root)
        self._checkpoint = settings.state / "bronze-checkpoint"
        self._began = time.time_ns()
        # Killed jobs leave data files that no commit names: they tell nothing of this one.
        self._left = {table.full_name: set(self._data_files(table)) for table in (RAW_LOGS, SNAPSHOTS)}

    def committed_at(self, table: Table) -> int:
        """When the table's newest commit was written, in nanoseconds; 0 where this job has made none."""
        newest = max((name for name in self._log(table) if name.endswith(".json")), default=None)
        return self._since_began(self._folder(table) / "_delta_log" / newest) if newest else 0

    def uncommitted_files(self, table: Table) -> list[Path]:
        """Data files that this job has begun and no commit names yet."""
        files, committed_at = set(self._data_files(table)) - self._left[table.full_name], self.committed_at(table)
        return [file for file in files if self._since_began(file) > committed_at]

    def is_writing_checkpoint(self, table: Table) -> bool:
        """True where a Delta checkpoint is begun, and not yet under its name."""
        return any(name.startswith(".") and ".checkpoint." in name and ".tmp" in name for name in self._log(table))

    def planned_at(self) -> int:
        """When the stream noted the offsets of a batch that it has not done yet, in nanoseconds; 0 without one."""
        planned, done = (
            {name for name in _names(self._checkpoint / folder) if name.isdigit()} for folder in ("offsets", "commits")
        )
        newest = max(planned, key=int, default=None)
        return 0 if newest is None or newest in done else self._since_began(self._checkpoint / "offsets" / newest)

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

    def _since_began(self, file: Path) -> int:
        try:
            changed_at = file.stat().st_mtime_ns
        except FileNotFoundError:  # gone since it was listed
            return 0
        return changed_at if changed_at > self._began else 0


@dataclass(frozen=True)
class Point:
    """A moment in a job that its files show.

    Attributes:
        name: As the guarantees call it.
        job: The verb that passes it.
        is_now: Whether the files show that moment.
    """

    name: str
    job: str
    is_now: Callable[[LakeFiles], bool]


def _is_planned(sight: LakeFiles) -> bool:
    return sight.planned_at() > sight.committed_at(RAW_LOGS) and not sight.uncommitted_files(RAW_LOGS)


def _is_writing_data(sight: LakeFiles) -> bool:
    return not all(map(_is_complete, sight.uncommitted_files(RAW_LOGS)))


def _has_written_data(sight: LakeFiles) -> bool:
    files = sight.uncommitted_files(RAW_LOGS)
    return bool(files) and all(map(_is_complete, files))


def _has_committed(sight: LakeFiles) -> bool:
    return sight.committed_at(RAW_LOGS) > sight.planned_at() > 0


def _is_writing_checkpoint(sight: LakeFiles) -> bool:
    return sight.is_writing_checkpoint(RAW_LOGS)


def _is_ahead_of_gold(sight: LakeFiles) -> bool:
    return sight.committed_at(EVENTS) > max(map(sight.committed_at, GOLD))


def _is_amid_gold(sight: LakeFiles) -> bool:
    base, *metrics = (sight.committed_at(table) for table in GOLD[:-1])
    return base > min(metrics)


def _is_about_to_publish(sight: LakeFiles) -> bool:
    return bool(sight.uncommitted_files(SNAPSHOTS))


POINTS = (
    Point("after the offset log", "bronze", _is_planned),
    Point("during parquet", "bronze", _is_writing_data),
    Point("between parquet and commit", "bronze", _has_written_data),
    Point("after the commit", "bronze", _has_committed),
    Point("during a Delta checkpoint", "bronze", _is_writing_checkpoint),
    Point("between silver and gold", "up", _is_ahead_of_gold),
    Point("between gold tables", "gold", _is_amid_gold),
    Point("before the snapshot row", "gold", _is_about_to_publish),
)


def _is_complete(file: Path) -> bool:
    try:
        with file.open("rb") as content:
            size = content.seek(0, os.SEEK_END)
            content.seek(max(0, size - len(MAGIC)))
            return size >= SMALLEST_PARQUET and content.read() == MAGIC
    except FileNotFoundError:
        return False


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder)]
    except FileNotFoundError:  # not made yet
        return []
