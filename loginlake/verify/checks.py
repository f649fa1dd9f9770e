"""All checks of `verify`, in the order in which they run and are reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import polars as pl

from lakehouse.kafka import Bounds
from lakehouse.progress import Partition
from lakehouse.settings import Settings
from lakehouse.tables.silver import EVENTS
from loginlake.verify.broker import broker_checks
from loginlake.verify.bronze_to_silver import identity_checks, position_checks
from loginlake.verify.checksums import compare_checksums
from loginlake.verify.columns import column_checks
from loginlake.verify.commit_notes import bronze_progress_checks, silver_progress_checks
from loginlake.verify.files import checksum_checks, file_checks
from loginlake.verify.kafka_reader import bounds_of
from loginlake.verify.ledger import ledger_checks
from loginlake.verify.pinned import PinnedLake, VerifyOptions, pin_lake
from loginlake.verify.report import UNREADABLE, Check, Report, catch_unreadable
from loginlake.verify.silver_to_gold import total_checks
from loginlake.verify.snapshots import snapshot_checks
from serving.store import Store, collected

T = TypeVar("T")


@dataclass(frozen=True)
class CheckGroup:
    """Checks about one subject.

    Attributes:
        subject: Named in the progress, and in the claim that fails if a file needed for the checks is damaged.
        run: Returns the results.
        applies: Returns whether to run; by default always.
    """

    subject: str
    run: Callable[[PinnedLake], Iterable[Check]]
    applies: Callable[[PinnedLake], bool] = lambda _lake: True


def _recompute_checks(lake: PinnedLake) -> Iterable[Check]:
    from loginlake.verify.recompute_silver import recompute_checks  # needs DuckDB, which only --deep requires

    return recompute_checks(lake)


CHECKS = (
    CheckGroup("bronze against Kafka", broker_checks),
    CheckGroup("bronze against the ledger", ledger_checks, lambda lake: lake.options.acked is not None),
    CheckGroup("the progress of bronze", bronze_progress_checks, lambda lake: lake.is_current),
    CheckGroup("silver against bronze", position_checks),
    CheckGroup("the event ids in silver", identity_checks),
    CheckGroup("the progress of silver", silver_progress_checks),
    CheckGroup("gold against silver", total_checks, lambda lake: lake.snapshot is not None),
    CheckGroup("the snapshots", snapshot_checks),
    CheckGroup("the columns", column_checks),
    CheckGroup("the files", file_checks),
    CheckGroup("the checksums", checksum_checks, lambda lake: lake.options.is_deep),
    CheckGroup("the recomputation of silver and gold", _recompute_checks, lambda lake: lake.options.is_deep),
)


def verify(settings: Settings, store: Store, *, options: VerifyOptions | None = None) -> Report:
    """Run all checks on a lake; jobs may write to it meanwhile.

    Raises:
        TableMissing: There is no lake.
        SnapshotMissing: The requested snapshot does not exist.
    """
    lake = pin_lake(settings, store, options=options or VerifyOptions())
    if lake.options.is_deep:
        # Before any row is read, because reading a corrupt file can end the process.
        lake = replace(lake, checksums=compare_checksums(lake.logs, lake.options.progress))
    return Report(
        snapshot=lake.snapshot.id if lake.snapshot else None,
        checks=[check for group in CHECKS if group.applies(lake) for check in _run(group, lake)],
        layers=_layers(lake),
        verdicts=_none_if_unreadable(lambda: _verdicts(lake)) or {},
        unread=_none_if_unreadable(lambda: _unread(lake)) or {},
    )


def _run(group: CheckGroup, lake: PinnedLake) -> Iterable[Check]:
    lake.options.progress(f"Checking {group.subject}", 0, None)
    return catch_unreadable(f"the tables needed to check {group.subject} can be read", partial(group.run, lake))


def _none_if_unreadable(value: Callable[[], T]) -> T | None:
    """Return the value, or None if a file is damaged, which the checks report."""
    try:
        return value()
    except UNREADABLE:
        return None


def _layers(lake: PinnedLake) -> dict[str, int | None]:
    bounds = None if lake.topics is None else bounds_of(lake.topics)
    return {
        "kafka": None if bounds is None else sum(_records(lake, at, bounds=bounds[at]) for at in bounds),
        "bronze": _none_if_unreadable(lambda: lake.bronze_positions.height),
        "silver": _none_if_unreadable(lambda: lake.silver_positions.height),
    }


def _records(lake: PinnedLake, at: Partition, *, bounds: Bounds) -> int:
    """Return how many offsets of a partition the broker has, up to the end of what is verified."""
    end = bounds.end if lake.end_offsets is None else min(bounds.end, lake.end_offsets.get(at, 0))
    return max(0, end - bounds.beginning)


def _verdicts(lake: PinnedLake) -> dict[str, int]:
    return dict(collected(lake.events().group_by("verdict").len().sort("verdict"), EVENTS).iter_rows())


def _unread(lake: PinnedLake) -> dict[str, int]:
    lasts = lake.bronze_positions.group_by("topic", "partition").agg(pl.col("offset").max() + 1)
    nexts = {(topic, partition): end for topic, partition, end in lasts.iter_rows()}
    bounds = bounds_of(lake.topics or {})
    return {
        "kafka": sum(max(0, bound.end - nexts.get(at, bound.beginning)) for at, bound in bounds.items()),
        "bronze": lake.bronze_positions.height - lake.bronze_read_by_silver.height,
    }
