"""The list of snapshots: ids without gaps, values that never decrease, and the offsets of the silver rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

import polars as pl

from lakehouse.clock import instant_text
from lakehouse.snapshots import Snapshot, snapshot_from_metadata
from lakehouse.tables.gold import RESTATEMENTS, SNAPSHOTS
from lakehouse.tables.silver import EVENTS
from loginlake.verify.commit_notes import offsets_check
from loginlake.verify.pinned import PinnedLake
from loginlake.verify.report import UNREADABLE, Check, check, skipped
from serving.store import collected

RESTORE_SNAPSHOTS = "Restore gold.snapshots from a copy of the lake: it decides which versions readers see"
RESTORE_RESTATEMENTS = "Restore gold.restatements from a copy of the lake: no job computes its rows again"


def snapshot_checks(lake: PinnedLake) -> Iterator[Check]:
    """Check the published snapshots; if none is published, check that none was lost."""
    published = lake.published or lake.store.snapshots()  # raises if gold.snapshots can't be read
    committed = list(_committed_snapshots(lake))
    if not published or lake.snapshot is None:
        yield _lost_check(committed, _restated_rows(lake))
        return
    yield sequence_check(published)
    yield commit_check(published, committed)
    if RESTATEMENTS.full_name in lake.snapshot.versions:
        yield _restatements_check(published, lake.rows(RESTATEMENTS))
    yield offsets_check(
        f"the offsets of snapshot {lake.snapshot.id} are those of its silver rows",
        lake.snapshot.offsets,
        events=lake.rows(EVENTS),
        recorded_by="the snapshot",
        hint=RESTORE_SNAPSHOTS,
    )


def sequence_check(published: Sequence[Snapshot]) -> Check:
    """Check that ids are 1, 2, 3 and so on, and that times, versions and offsets never decrease."""
    ids = [snapshot.id for snapshot in published]
    steps = pairwise(sorted({0, *ids}))
    faults = [f"{_snapshots(at + 1, until - 1)} missing" for at, until in steps if until - at > 1]
    faults += [f"snapshot {number} appears {times} times" for number, times in Counter(ids).items() if times > 1]
    for before, after in pairwise(published):
        faults += _decreases(before, after)
    claim = "snapshot ids have no gaps, and times, versions and offsets never decrease"
    return check(claim, faults, checked=len(published), hint=RESTORE_SNAPSHOTS)


def commit_check(published: Sequence[Snapshot], committed: Iterable[Snapshot]) -> Check:
    """Check that each snapshot equals what the commit that published it records.

    Args:
        published: All snapshots.
        committed: Those recorded in the commits of gold.snapshots, as far back as its log goes.
    """
    rows = {snapshot.id: snapshot.row() for snapshot in published}
    faults, checked = [], 0
    for snapshot in committed:
        checked += 1
        row = rows.get(snapshot.id, {})
        differing = [name for name, value in snapshot.row().items() if row.get(name) != value]
        if not row:
            faults.append(_lost(snapshot))
        elif differing:
            faults.append(f"snapshot {snapshot.id} differs from its commit in {', '.join(differing)}")
    return check("each snapshot equals what its commit records", faults, checked=checked, hint=RESTORE_SNAPSHOTS)


def _committed_snapshots(lake: PinnedLake) -> Iterator[Snapshot]:
    """Yield the snapshots that the commits of gold.snapshots record, up to the requested one."""
    for commit in lake.commits(SNAPSHOTS):
        recorded = snapshot_from_metadata(commit.user_metadata)
        if recorded and (lake.is_current or lake.snapshot is None or recorded.id <= lake.snapshot.id):
            yield recorded


def _restatements_check(published: Sequence[Snapshot], rows: pl.LazyFrame) -> Check:
    """Check that each restatement is unique and belongs to a snapshot other than the first, which restates nothing."""
    known = [snapshot.id for snapshot in published if snapshot.id > 1]
    counts = collected(rows.group_by("snapshot_id").len().sort("snapshot_id"), RESTATEMENTS)
    unknown = counts.filter(~pl.col("snapshot_id").is_in(known))
    repeats = rows.group_by(RESTATEMENTS.key).len().filter(pl.col("len") > 1)
    repeated = collected(repeats.select(pl.len()), RESTATEMENTS).item()
    faults = [f"{count} restatements belong to snapshot {of}, which has none" for of, count in unknown.iter_rows()]
    if repeated:
        faults.append(f"{repeated} restatements appear more than once")
    return check(
        "each restatement appears once and belongs to a published snapshot",
        faults,
        checked=len(published),
        hint=RESTORE_RESTATEMENTS,
    )


def _lost_check(committed: Sequence[Snapshot], restated: int) -> Check:
    """Check that no snapshot was lost, if none is published.

    Args:
        committed: Snapshots recorded in the commits of gold.snapshots.
        restated: Number of rows in gold.restatements.
    """
    faults = [_lost(snapshot) for snapshot in committed]
    if restated:
        faults.append(f"{restated} restatements belong to snapshots that gold.snapshots does not have")
    if not faults:
        return skipped("a snapshot is published", "none is yet", hint="Run `loginlake refresh` to publish one")
    return check("no published snapshot was lost", faults, checked=len(faults), hint=RESTORE_SNAPSHOTS)


def _restated_rows(lake: PinnedLake) -> int:
    with suppress(*UNREADABLE):
        rows = lake.store.rows_at_version(RESTATEMENTS, lake.store.newest_version(RESTATEMENTS))
        return int(collected(rows.select(pl.len()), RESTATEMENTS).item())
    return 0


def _lost(snapshot: Snapshot) -> str:
    return f"snapshot {snapshot.id} is recorded in a commit but missing in gold.snapshots"


def _snapshots(first: int, last: int) -> str:
    return f"snapshot {first} is" if first == last else f"snapshots {first}-{last} are"


def _decreases(before: Snapshot, after: Snapshot) -> Iterator[str]:
    if after.at <= before.at:
        yield f"snapshot {after.id} is of {instant_text(after.at)}, not later than snapshot {before.id}"
    for name, older, newer in _lower_values(before.versions, after.versions):
        yield f"snapshot {after.id} names version {newer} of {name}, snapshot {before.id} names {older}"
    for (topic, partition), older, newer in _lower_values(before.offsets, after.offsets):
        yield f"snapshot {after.id} covers {topic}:{partition} up to {newer}, snapshot {before.id} up to {older}"


def _lower_values(before: Mapping[Any, int], after: Mapping[Any, int]) -> Iterator[tuple[Any, int, int | None]]:
    for name, older in sorted(before.items()):
        newer = after.get(name)
        if newer is None or newer < older:
            yield name, older, newer
