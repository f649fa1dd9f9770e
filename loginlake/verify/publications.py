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
from lakehouse.tables.gold import RESTATEMENTS
from lakehouse.tables.silver import EVENTS
from loginlake.verify.report import Check, check
from serving.store import collected

RESTORE = "Restore gold.snapshots from a copy of the lake: readers take what it says"
RESTORE_RESTATEMENTS = "Restore gold.restatements from a copy of the lake: nothing computes it again"
RECOMPUTE = "Run `loginlake rebuild silver`, which also notes the offsets anew"


def sequence_check(published: Sequence[Snapshot]) -> Check:
    """Ids 1, 2, 3 and so on; instants, versions and offsets that never go back."""
    ids = [snapshot.id for snapshot in published]
    steps = pairwise(sorted({0, *ids}))
    faults = [f"{_snapshots(at + 1, until - 1)} missing" for at, until in steps if until - at > 1]
    faults += [f"snapshot {number} stands {times} times" for number, times in Counter(ids).items() if times > 1]
    for before, after in pairwise(published):
        faults += _steps_back(before, after)
    return check("snapshots are numbered without a gap and never go back", faults, checked=len(published), hint=RESTORE)


def notes_check(published: Sequence[Snapshot], noted: Iterable[Snapshot]) -> Check:
    """Each snapshot is as the commit that published it notes it.

    Args:
        published: All snapshots.
        noted: Those that the commits of gold.snapshots note, as far as its log goes back.
    """
    rows = {snapshot.id: snapshot.row() for snapshot in published}
    faults, checked = [], 0
    for snapshot in noted:
        checked += 1
        row = rows.get(snapshot.id, {})
        differing = [name for name, value in snapshot.row().items() if row.get(name) != value]
        if not row:
            faults.append(f"snapshot {snapshot.id} is in its commit and not in gold.snapshots")
        elif differing:
            faults.append(f"snapshot {snapshot.id} differs from its commit in {', '.join(differing)}")
    return check("each snapshot is as its commit notes it", faults, checked=checked, hint=RESTORE)


def restatements_check(published: Sequence[Snapshot], rows: pl.LazyFrame) -> Check:
    """Each restatement stands once, and is of a published snapshot that has one before it."""
    known = [snapshot.id for snapshot in published if snapshot.id > 1]
    counts = collected(rows.group_by("snapshot_id").len().sort("snapshot_id"), RESTATEMENTS)
    unknown = counts.filter(~pl.col("snapshot_id").is_in(known))
    twice = collected(rows.group_by(RESTATEMENTS.key).len().filter(pl.col("len") > 1).select(pl.len()), RESTATEMENTS)
    faults = [f"{number} restatements of snapshot {of}, which restates none" for of, number in unknown.iter_rows()]
    if twice.item():
        faults.append(f"{twice.item()} restatements stand more than once")
    return check(
        "each restatement stands once, and is of a published snapshot",
        faults,
        checked=len(published),
        hint=RESTORE_RESTATEMENTS,
    )


def lost_check(noted: Iterable[Snapshot], restated: int) -> Check:
    """Where no snapshot is published, none was: no commit notes one, and nothing is restated.

    Args:
        noted: Snapshots that the commits of gold.snapshots note.
        restated: Rows of gold.restatements.
    """
    faults = [f"snapshot {snapshot.id} is in its commit and not in gold.snapshots" for snapshot in noted]
    if restated:
        faults.append(f"{restated} restatements are of snapshots that gold.snapshots does not have")
    return check("no published snapshot was lost", faults, checked=len(faults), hint=RESTORE)


def _snapshots(first: int, last: int) -> str:
    return f"snapshot {first} is" if first == last else f"snapshots {first}-{last} are"


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
        live=next_offsets(events),
        said_by="the snapshot",
        hint=RESTORE,
    )


def progress_check(user_metadata: str | None, events: pl.LazyFrame) -> Check:
    """The offsets that silver's newest commit notes are those of its rows; a commit that notes none claims nothing."""
    claim = "the offsets that silver's newest commit notes are those of its rows"
    noted = progress_from_json(user_metadata)
    if noted is None:
        return check(claim, (), checked=0, hint=RECOMPUTE, notes=["it notes none: they are computed from the rows"])
    return _offsets_check(claim, noted.offsets, live=next_offsets(events), said_by="the commit", hint=RECOMPUTE)


def ingest_day_check(user_metadata: str | None, events: pl.LazyFrame) -> Check:
    """The ingest day that silver's newest commit notes, from which unread rows are looked for, is that of its rows."""
    claim = "the ingest day that silver's newest commit notes is that of its rows"
    noted = progress_from_json(user_metadata)
    if noted is None:
        return check(claim, (), checked=0, hint=RECOMPUTE, notes=["it notes none: it is computed from the rows"])
    live = collected(events.select(pl.col("ingested_at").max().dt.date()), EVENTS).item()
    faults = [] if noted.ingested_on == live else [f"{noted.ingested_on} in the commit, {live} in silver"]
    return check(claim, faults, checked=1, hint=RECOMPUTE)


def next_offsets(events: pl.LazyFrame) -> dict[Partition, int]:
    """One past the largest offset of each partition of silver."""
    ends = collected(events.group_by("topic", "partition").agg(pl.col("offset").max() + 1), EVENTS)
    return {(topic, partition): end for topic, partition, end in ends.iter_rows()}


def _offsets_check(claim: str, said: Offsets, *, live: Offsets, said_by: str, hint: str) -> Check:
    faults = (
        f"{topic}:{partition} {said.get((topic, partition))} in {said_by}, {live.get((topic, partition))} in silver"
        for topic, partition in _differing(said, live)
    )
    return check(claim, faults, checked=len({*said, *live}), hint=hint)


def _differing(first: Offsets, second: Offsets) -> Iterable[Partition]:
    return (at for at in sorted({*first, *second}) if first.get(at) != second.get(at))
