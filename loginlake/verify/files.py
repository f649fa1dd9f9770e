"""The files of the lake: complete logs, all retained versions, and every data file present, whole and unchanged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lakehouse.snapshots import Snapshot
from loginlake.verify.delta_log import DeltaLog, commit_range
from loginlake.verify.pinned import PinnedLake
from loginlake.verify.report import Check, check, restore_hint

LAST_CHECKPOINT_HINT = ". An unreadable _last_checkpoint may be deleted"


def file_checks(lake: PinnedLake) -> Iterator[Check]:
    """Check the Delta logs, the retained versions, and that all data files exist."""
    logs = list(lake.logs.values())
    yield check(
        "the Delta log of every table is complete and readable",
        [fault for log in logs for fault in log.faults],
        checked=sum(len(log.log_files) for log in logs),
        hint=restore_hint("the files of _delta_log", [log.name for log in logs if log.faults]) + LAST_CHECKPOINT_HINT,
    )
    yield _versions_check(logs, lake.retained, note=_retained_note(lake))
    wrong = {log.name: list(_wrong_files(log)) for log in logs}
    yield check(
        "every data file exists and has the size that the log records",
        [fault for faults in wrong.values() for fault in faults],
        checked=sum(len(log.data_files) for log in logs),
        hint=restore_hint("these files", [name for name, faults in wrong.items() if faults]),
    )


def checksum_checks(lake: PinnedLake) -> Iterator[Check]:
    """Report the comparison of every file with its checksums."""
    result = lake.checksums
    if result is None:
        return
    bare = result.without_sidecar
    # On S3 there are none: the store itself compares what it stores and sends with its own checksums.
    is_noted = bare and not lake.settings.is_on_s3
    notes = [f"{bare:,} files have no .crc file beside them: only their pages were checked"] if is_noted else []
    hint = restore_hint("these files", result.corrupt_tables)
    yield check("every file matches its checksums", result.faults, checked=result.checked, hint=hint, notes=notes)


def _versions_check(logs: Sequence[DeltaLog], retained: Sequence[Snapshot], *, note: str) -> Check:
    lost = {log.name: list(_lost_versions(log, retained)) for log in logs}
    return check(
        "every version that a retained snapshot names exists",
        [fault for faults in lost.values() for fault in faults],
        checked=sum(len(snapshot.versions) for snapshot in retained),
        hint=restore_hint("the files of _delta_log", [name for name, faults in lost.items() if faults]),
        notes=[note],
    )


def _retained_note(lake: PinnedLake) -> str:
    if lake.options.snapshot is not None:
        return f"of the retained snapshots, only snapshot {lake.options.snapshot} was checked"
    count = len(lake.retained)
    return f"{count:,} snapshot{' is' if count == 1 else 's are'} retained"


def _lost_versions(log: DeltaLog, retained: Sequence[Snapshot]) -> Iterator[str]:
    named = {snapshot.versions[log.name]: snapshot.id for snapshot in retained if log.name in snapshot.versions}
    newest = max(named, default=-1)
    if newest > log.newest:
        lost = commit_range(log.newest + 1, newest)
        yield f"{log.name} ends at version {log.newest}, but snapshot {named[newest]} names {newest}: {lost} lost"
    for version, snapshot_id in sorted(named.items()):
        if log.oldest is not None and version < log.oldest:
            yield f"{log.name} begins at version {log.oldest}, but snapshot {snapshot_id} names {version}"


def _wrong_files(log: DeltaLog) -> Iterator[str]:
    present = log.folder.list_files()
    for name, size in sorted(log.data_files.items()):
        if name not in present:
            yield f"{log.name}/{name} is missing"
        elif present[name] != size:
            yield f"{log.name}/{name} has {present[name]:,} bytes, the log records {size:,}"
