"""The claims of the lake, each held against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TypeVar

import polars as pl

from lakehouse.extent import Extent, Told, noted_extent
from lakehouse.kafka import Bounds
from lakehouse.offsets import Partition
from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot, snapshot_from_metadata
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import RESTATEMENTS, SNAPSHOTS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from loginlake.verify.broker import Topic, bounds_of, broker_checks, noted_ids, topics_of
from loginlake.verify.checksums import checksum_check
from loginlake.verify.files import log_check, logs_of, presence_check, versions_check
from loginlake.verify.identities import identity_checks
from loginlake.verify.ledger import ledger_check
from loginlake.verify.logs import CommitInfo, Log
from loginlake.verify.positions import extent_check, ingest_check, position_checks
from loginlake.verify.publications import (
    ingest_day_check,
    lost_check,
    notes_check,
    offsets_check,
    progress_check,
    restatements_check,
    sequence_check,
)
from loginlake.verify.ranges import Range
from loginlake.verify.readable import UNREADABLE, readable, unreadable
from loginlake.verify.report import Check, Report, skipped
from loginlake.verify.scope import Scope, at_snapshot, columns_check, newest_rows, rows_in, whole_lake
from loginlake.verify.sums import sum_checks
from serving.store import Store, collected

T = TypeVar("T")
# What is done now, how far, and how much there is; a total of 0 is not known.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class VerifyOptions:
    """How a lake is to be verified.

    Attributes:
        snapshot: The snapshot; None for the whole lake as it is now.
        is_deep: Reads every byte, and computes silver and gold again.
        accepted: Ranges of offsets whose loss is known.
        acked: Positions that a producer's ledger names; None without one.
        progress: Told what is done.
    """

    snapshot: int | None = None
    is_deep: bool = False
    accepted: Sequence[Range] = ()
    acked: pl.DataFrame | None = None
    progress: Progress = lambda _what, _done, _total: None


def verify(settings: Settings, store: Store, *, wish: VerifyOptions = VerifyOptions()) -> Report:
    """Checks the law on a lake; jobs may write meanwhile.

    Raises:
        TableMissing: There is no lake.
        SnapshotMissing: The snapshot asked for is not there.
    """
    pinned = whole_lake(store) if wish.snapshot is None else at_snapshot(store, wish.snapshot)
    files = _files(settings, pinned, wish=wish)
    scope = replace(pinned, damaged=files.damaged)
    # After the versions are pinned: what bronze has read the broker must hold.
    wish.progress("Reading bronze", 0, 0)
    topics = topics_of(settings, _topic_names(settings, scope))
    return Report(
        snapshot=scope.snapshot.id if scope.snapshot else None,
        checks=[*files.checks, *_checks(settings, scope, wish=wish, topics=topics, logs=files.logs)],
        layers=_layers(scope, topics),
        verdicts=_or_none(lambda: _verdicts(scope)) or {},
        unread=_or_none(lambda: _unread(scope, topics)) or {},
    )


@dataclass(frozen=True)
class Files:
    """What the files of the lake say of themselves.

    Attributes:
        logs: The log of each table.
        checks: The claims about the files.
        damaged: Full names of the tables whose bytes are not as they were written; none unless all were read.
    """

    logs: Sequence[Log]
    checks: Sequence[Check]
    damaged: Set[str] = frozenset()


def _files(settings: Settings, scope: Scope, *, wish: VerifyOptions) -> Files:
    wish.progress("Looking for the files", 0, 0)
    try:
        snapshots = _retained(scope, wish)
        logs = logs_of(settings, scope, snapshots=snapshots)
        checks = [log_check(logs), versions_check(logs, snapshots), presence_check(logs)]
        if not wish.is_deep:
            return Files(logs, checks)
        byte_check, damaged = checksum_check(logs, wish.progress)
        return Files(logs, [*checks, byte_check], damaged)
    except UNREADABLE as error:
        return Files([], [unreadable("the files of the lake can be listed", error)])


def _topic_names(settings: Settings, scope: Scope) -> set[str]:
    """The topics that bronze was read from, and the settings' own."""
    noted = _or_none(lambda: noted_ids(settings)) or {}
    bronze = _or_none(lambda: scope.bronze)
    return {settings.topic, *noted, *(() if bronze is None else bronze["topic"].unique())}


def _checks(
    settings: Settings, scope: Scope, *, wish: VerifyOptions, topics: Mapping[str, Topic] | None, logs: Sequence[Log]
) -> Iterator[Check]:
    extent = _noted_extent(scope, logs)
    read = extent.offsets if extent else {}
    yield from readable(
        "bronze can be held against Kafka",
        lambda: broker_checks(settings, scope, topics=topics, read=read, accepted=wish.accepted),
    )
    if (acked := wish.acked) is not None:
        yield from readable(
            "bronze can be held against the ledger",
            lambda: [ledger_check(acked, scope.bronze, topics=topics, bounds=scope.bounds)],
        )
    wish.progress("Comparing bronze and silver", 0, 0)
    if scope.bounds is None:
        yield from readable("bronze can be read", lambda: _extent_checks(scope, extent))
    yield from readable("bronze and silver can be read", lambda: position_checks(scope))
    yield from readable("the identities in silver can be read", lambda: identity_checks(scope))
    yield from readable("the tables have their columns", lambda: [columns_check(scope)])
    yield from readable("the snapshots can be read", lambda: _snapshot_checks(scope, logs))
    yield from readable("silver's progress can be read", lambda: _progress_checks(scope, logs))
    if wish.is_deep:
        from loginlake.verify.deep import recomputed_checks

        yield from readable(
            "silver and gold can be computed again", lambda: recomputed_checks(settings, scope, progress=wish.progress)
        )


def _extent_checks(scope: Scope, extent: Extent | None) -> Iterator[Check]:
    yield extent_check(extent, scope.bronze)
    if extent is not None and scope.bronze.height:
        last = collected(scope.records().select(pl.col("ingested_at").max()), RAW_LOGS).item()
        yield ingest_check(extent, last)


def _snapshot_checks(scope: Scope, logs: Sequence[Log]) -> Iterator[Check]:
    published = scope.published or scope.store.snapshots()
    noted = list(_noted_snapshots(scope, logs))
    if not published or scope.snapshot is None:
        restated = _or_none(lambda: rows_in(newest_rows(scope.store, RESTATEMENTS), RESTATEMENTS)) or 0
        if noted or restated:
            yield lost_check(noted, restated)
        else:
            yield skipped("a snapshot is published", "none yet", hint="`loginlake refresh` publishes one")
        return
    yield sequence_check(published)
    yield notes_check(published, noted)
    if RESTATEMENTS.full_name in scope.snapshot.versions:
        yield restatements_check(published, scope.rows(RESTATEMENTS, scope.snapshot))
    yield offsets_check(scope.snapshot, scope.rows(EVENTS, scope.snapshot))
    yield from sum_checks(scope, scope.snapshot)


def _progress_checks(scope: Scope, logs: Sequence[Log]) -> Iterator[Check]:
    newest = next(_newest_first(EVENTS, scope, logs=logs), None)
    if newest is not None:
        yield progress_check(newest.user_metadata, scope.events())
        yield ingest_day_check(newest.user_metadata, scope.events())


def _noted_extent(scope: Scope, logs: Sequence[Log]) -> Extent | None:
    """What bronze notes of how far it has read; None where it does not, or an earlier snapshot is looked at."""
    told = [Told(each.operation, each.user_metadata) for each in _newest_first(RAW_LOGS, scope, logs=logs)]
    return noted_extent(told) if told and scope.bounds is None else None


def _noted_snapshots(scope: Scope, logs: Sequence[Log]) -> Iterator[Snapshot]:
    """What the commits of gold.snapshots note, up to the snapshot in scope where an earlier one is looked at."""
    for commit in _newest_first(SNAPSHOTS, scope, logs=logs):
        noted = snapshot_from_metadata(commit.user_metadata)
        if noted and (scope.bounds is None or scope.snapshot is None or noted.id <= scope.snapshot.id):
            yield noted


def _newest_first(table: Table, scope: Scope, *, logs: Sequence[Log]) -> Iterator[CommitInfo]:
    """What the commits of a table say of themselves, from the version in scope back; nothing where its log is lost."""
    for log in logs:
        if log.name == table.full_name:
            newest = scope.versions.get(table.full_name, -1)
            yield from (log.commit_infos.get(version, CommitInfo()) for version in range(newest, -1, -1))


def _retained(scope: Scope, wish: VerifyOptions) -> Sequence[Snapshot]:
    """The snapshots whose files must be there: the one asked for, or all that may be asked for."""
    if wish.snapshot is not None:
        return [scope.snapshot] if scope.snapshot else []
    return scope.store.retained(scope.published)


def _or_none(value: Callable[[], T]) -> T | None:
    """The value; None where a file that it is read from is damaged, which the checks say."""
    try:
        return value()
    except UNREADABLE:
        return None


def _layers(scope: Scope, topics: Mapping[str, Topic] | None) -> dict[str, int | None]:
    return {
        "kafka": None
        if topics is None
        else sum(_records(at, bound, scope=scope) for at, bound in bounds_of(topics).items()),
        "bronze": _or_none(lambda: scope.bronze.height),
        "silver": _or_none(lambda: scope.silver.height),
    }


def _records(at: Partition, bound: Bounds, *, scope: Scope) -> int:
    """Offsets of a partition that the broker has, up to the bounds of the scope."""
    end = bound.end if scope.bounds is None else min(bound.end, scope.bounds.get(at, 0))
    return max(0, end - bound.beginning)


def _verdicts(scope: Scope) -> dict[str, int]:
    return dict(collected(scope.events().group_by("verdict").len().sort("verdict"), EVENTS).iter_rows())


def _unread(scope: Scope, topics: Mapping[str, Topic] | None) -> dict[str, int]:
    lasts = scope.bronze.group_by("topic", "partition").agg(pl.col("offset").max() + 1)
    nexts = {(topic, partition): end for topic, partition, end in lasts.iter_rows()}
    behind = sum(max(0, bound.end - nexts.get(at, bound.beginning)) for at, bound in bounds_of(topics or {}).items())
    return {"kafka": behind, "bronze": scope.bronze.height - scope.refined().height}
