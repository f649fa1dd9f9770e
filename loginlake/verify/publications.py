"""The list of snapshots: numbered without gaps, never going back, each naming the offsets of its silver rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import polars as pl

from lakehouse.offsets import Offsets, Partition
from lakehouse.progress import progress_from_json
from lakehouse.snapshots import Snapshot
from lakehouse.tables.silver import EVENTS
from loginlake.verify.report import Check, judged
from serving.store import collected

RESTORE = "Restore gold.snapshots from a copy of the lake: readers take what it says"
RECOMPUTE = "Run `loginlake rebuild silver`, which also notes the offsets anew"


def sequence_check(published: Sequence[Snapshot]) -> Check:
    """Ids 1, 2, 3 and so on; instants, versions and offsets that never go back."""
    ids = [snapshot.id for snapshot in published]
    faults = [f"snapshot {number} is missing" for number in sorted(set(range(1, max(ids, default=0) + 1)) - set(ids))]
    faults += [f"snapshot {number} stands {times} times" for number, times in Counter(ids).items() if times > 1]
    for before, after in pairwise(published):
        faults += _steps_back(before, after)
    return judged(
        "snapshots are numbered without a gap and never go back", faults, checked=len(published), mend=RESTORE
    )


def _steps_back(before: Snapshot, after: Snapshot) -> Iterator[str]:
    if after.at <= before.at:
        yield f"snapshot {after.id} is of {after.at.isoformat()}, not later than snapshot {before.id}"
    for name, older, newer in _backwards(before.versions, after.versions):
        yield f"snapshot {after.id} names version {newer} of {name}, snapshot {before.id} {older}"
    for (topic, partition), older, newer in _backwards(before.offsets, after.offsets):
        yield f"snapshot {after.id} covers {topic}:{partition} up to {newer}, snapshot {before.id} up to {older}"


def _backwards(before: Mapping[Any, int], after: Mapping[Any, int]) -> Iterator[tuple[Any, int, int | None]]:
    for name, older in sorted(before.items()):
        newer = after.get(name)
        if newer is None or newer < older:
            yield name, older, newer


def offsets_check(snapshot: Snapshot, events: pl.LazyFrame) -> Check:
    """The offsets that the snapshot names are those of its silver rows."""
    return _offsets_check(
        f"the offsets of snapshot {snapshot.id} are those of its silver rows",
        snapshot.offsets,
        next_offsets(events),
        said_by="the snapshot",
        mend=RESTORE,
    )


def progress_check(user_metadata: str | None, events: pl.LazyFrame) -> Check:
    """The offsets that silver's newest commit notes are those of its rows; a commit that notes none claims nothing."""
    claim = "the offsets that silver's newest commit notes are those of its rows"
    noted = progress_from_json(user_metadata)
    if noted is None:
        return judged(claim, (), checked=0, mend=RECOMPUTE, notes=["it notes none: they are computed from the rows"])
    return _offsets_check(claim, noted.offsets, next_offsets(events), said_by="the commit", mend=RECOMPUTE)


def next_offsets(events: pl.LazyFrame) -> dict[Partition, int]:
    """One past the largest offset of each partition of silver."""
    ends = collected(events.group_by("topic", "partition").agg(pl.col("offset").max() + 1), EVENTS)
    return {(topic, partition): end for topic, partition, end in ends.iter_rows()}


def _offsets_check(claim: str, said: Offsets, live: Offsets, *, said_by: str, mend: str) -> Check:
    faults = (
        f"{topic}:{partition} {said.get((topic, partition))} in {said_by}, {live.get((topic, partition))} in silver"
        for topic, partition in _differing(said, live)
    )
    return judged(claim, faults, checked=len({*said, *live}), mend=mend)


def _differing(first: Offsets, second: Offsets) -> Iterable[Partition]:
    return (at for at in sorted({*first, *second}) if first.get(at) != second.get(at))
