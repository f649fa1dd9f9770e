"""The files of the lake: each log whole, each version that a retained snapshot names there, each data file in place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot
from lakehouse.tables import TABLES
from loginlake.verify.folder import folder_of
from loginlake.verify.logs import Log, read_log, spelled
from loginlake.verify.report import Check, check
from loginlake.verify.scope import Scope

RESTORE_LOG = (
    "Restore the files of _delta_log from a copy of the lake; without one, write the table anew: "
    "`loginlake rebuild silver` or `loginlake rebuild gold`; a garbled _last_checkpoint may be deleted"
)
RESTORE_FILES = (
    "Restore these files from a copy of the lake; without one, write their table anew: "
    "`loginlake rebuild silver` or `loginlake rebuild gold`"
)


def logs_of(settings: Settings, scope: Scope, *, snapshots: Sequence[Snapshot]) -> list[Log]:
    """The log of every table that is there, with the files that the snapshots and the scope need."""
    logs = []
    for name, table in TABLES.items():
        named = [snapshot.versions[name] for snapshot in snapshots if name in snapshot.versions]
        pinned = [scope.versions[name]] if name in scope.versions else []
        log = read_log(folder_of(settings, table), [*named, *pinned])
        if named or pinned or log.newest >= 0 or log.faults:
            logs.append(log)
    return logs


def log_check(logs: Sequence[Log]) -> Check:
    """No commit is missing, empty or garbled, and the checkpoints that readers begin at can be read."""
    faults = [fault for log in logs for fault in log.faults]
    commits = sum(len(log.named) for log in logs)
    return check("the log of every table is whole", faults, checked=commits, hint=RESTORE_LOG)


def versions_check(logs: Sequence[Log], snapshots: Sequence[Snapshot]) -> Check:
    """Every version that a retained snapshot names is there."""
    faults = [fault for log in logs for fault in _lost_versions(log, snapshots)]
    checked = sum(len(snapshot.versions) for snapshot in snapshots)
    return check(
        "every version that a retained snapshot names is there",
        faults,
        checked=checked,
        hint=RESTORE_LOG,
        notes=[f"{len(snapshots):,} retained snapshot{'' if len(snapshots) == 1 else 's'}"],
    )


def _lost_versions(log: Log, snapshots: Sequence[Snapshot]) -> Iterator[str]:
    named = {snapshot.versions[log.name]: snapshot.id for snapshot in snapshots if log.name in snapshot.versions}
    newest = max(named, default=-1)
    if newest > log.newest:
        lost = spelled(log.newest + 1, newest)
        yield f"{log.name} ends at version {log.newest}, snapshot {named[newest]} names {newest}: {lost} lost"
    for version, snapshot_id in sorted(named.items()):
        if log.oldest is not None and version < log.oldest:
            yield f"{log.name} begins at version {log.oldest}, snapshot {snapshot_id} names {version}"


def presence_check(logs: Sequence[Log]) -> Check:
    """Every data file that the verified versions need is there, with the size that the log says."""
    faults = [fault for log in logs for fault in _absent(log)]
    return check(
        "every data file is there and as long as the log says",
        faults,
        checked=sum(len(log.files) for log in logs),
        hint=RESTORE_FILES,
    )


def _absent(log: Log) -> Iterator[str]:
    there = log.folder.listing()
    for name, size in sorted(log.files.items()):
        if name not in there:
            yield f"{log.name}/{name} is missing"
        elif there[name] != size:
            yield f"{log.name}/{name} has {there[name]:,} bytes, the log says {size:,}"
