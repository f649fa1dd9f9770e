"""Ground truth files for a lake: those that are named, and those of a folder whose events the lake has."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lakehouse.errors import UsageError
from lakehouse.tables.silver import EVENTS
from producer.ground_truth import PlantedCase, TruthFile, read_truth

if TYPE_CHECKING:
    from lakehouse.snapshots import Snapshot
    from serving.store import Store

FILES = "truth-*.json"


def truth_path(folder: Path, seed: int) -> Path:
    """Return the ground truth file of a seed."""
    return folder / FILES.replace("*", str(seed))


def seed_of(path: Path) -> int:
    """Return the seed that the name of a ground truth file has; 0 if it has none."""
    seed = path.stem.rpartition("-")[2]
    return int(seed) if seed.isdecimal() else 0


def truth_files(folder: Path) -> list[Path]:
    """Return the ground truth files of a folder, by number; an empty one, whose stream has not ended, is left out."""
    files = [path for path in folder.glob(FILES) if path.stat().st_size]
    return sorted(files, key=lambda path: (len(path.name), path.name))


def read_truths(paths: Iterable[Path], store: Store, *, snapshot: Snapshot) -> dict[Path, TruthFile]:
    """Return the content of ground truth files, and of those in folders that belong to the lake.

    Raises:
        UsageError: A file can't be read or is not a ground truth file, or a folder has none.
    """
    truths: dict[Path, TruthFile] = {}
    for path in paths:
        if not path.is_dir():
            truths[path] = read_truth(path)
        elif truth_files(path):
            truths |= truths_of_lake(path, store, snapshot=snapshot)
        else:
            raise UsageError(f"{path} has no file {FILES}", hint="Name a file, or the folder that has them")
    return truths


def truths_of_lake(folder: Path, store: Store, *, snapshot: Snapshot) -> dict[Path, TruthFile]:
    """Return the ground truth files of a folder that belong to a snapshot: it has events that they planted.

    The folder may also have files about another lake, or about events after the snapshot.
    """
    import polars as pl

    truths = {path: read_truth(path) for path in truth_files(folder)}
    planted = {event_id for truth in truths.values() for case in _cases(truth) for event_id in case.event_ids}
    is_planted = (pl.col("verdict") == "accepted") & pl.col("event_id").is_in(list(planted))
    rows = store.rows(EVENTS, snapshot).filter(is_planted).select("event_id").collect()
    stored = frozenset(rows["event_id"].to_list())
    parts = {path: _part_in_lake(truth, stored) for path, truth in truths.items()}
    return {path: part for path, part in parts.items() if _cases(part)}


def files_beside(paths: Iterable[Path]) -> list[Path]:
    """Return the ground truth files that lie beside those that are named, but are not named."""
    named = {path.resolve() for path in paths}
    folders = {path.resolve().parent for path in paths if path.match(FILES)}
    return [path for folder in sorted(folders - named) for path in truth_files(folder) if path not in named]


def covered(truths: Mapping[Path, TruthFile]) -> str:
    """Return how many ground truth files there are, at least one, which days they cover, and what that means."""
    count = f"{len(truths)} file{'' if len(truths) == 1 else 's'}"
    start, end = min(each.start for each in truths.values()), max(each.end for each in truths.values())
    about = f"Ground truth: {count}, about events of {start:%Y-%m-%d} to {end:%Y-%m-%d}"
    return f"{about}; alerts about other events of this time count as false."


def _cases(truth: TruthFile) -> Sequence[PlantedCase]:
    return (*truth.attacks, *truth.look_alikes)


def _part_in_lake(truth: TruthFile, stored: Collection[str]) -> TruthFile:
    """Return the truth about the events that are stored; an attack of which some are not is incomplete."""
    attacks, look_alikes = (
        tuple(
            msgspec.structs.replace(
                case, is_complete=case.is_complete and all(each in stored for each in case.event_ids)
            )
            for case in cases
            if any(each in stored for each in case.event_ids)
        )
        for cases in (truth.attacks, truth.look_alikes)
    )
    return msgspec.structs.replace(truth, attacks=attacks, look_alikes=look_alikes)
