"""Checks of the lake: its locks, disks and tables."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from lakehouse.errors import LakehouseError, LockHeld, TableMissing
from lakehouse.locks import refuse_second_writer
from lakehouse.settings import Settings
from lakehouse.tables import TABLES
from loginlake.doctor.finding import INSTALL_READERS, Finding, State, failed
from loginlake.lake_files import lake_files

MIN_FREE_BYTES = 2 * 10**9
DAY_SECONDS = 86_400.0


def check_locks(settings: Settings) -> list[Finding]:
    """Report which job writes the lake now; a lock is a warning only if its holder has not described itself."""
    try:
        refuse_second_writer(settings, "stack", "bronze", "refresh")
    except LockHeld as held:
        if "pid" in held.parts:
            return [Finding("lock", State.OK, f"{_holder(held.parts)} writes the lake")]
        return [Finding("lock", State.WARN, held.what, held.hint)]
    except OSError as error:
        return [Finding("lock", State.WARN, f"the locks of the lake can't be read ({error.strerror})")]
    return [Finding("lock", State.OK, "no job writes the lake")]


def _holder(parts: Mapping[str, object]) -> str:
    """Return who holds a lock: `up` or `demo`, or a job."""
    who = "`up` or `demo`" if parts["name"] == "stack" else f"`{parts['name']}`"
    return f"{who} (process {parts['pid']} on {parts['host']}, since {parts['since']})"


def check_disks(settings: Settings) -> list[Finding]:
    """Check that the folders of the lake (if it is one) and of the state are writable and have free space."""
    places = {"lake disk": settings.root, "state disk": str(settings.state)}
    return [_check_disk(check, Path(place)) for check, place in places.items() if "://" not in place]


def check_lake(settings: Settings) -> list[Finding]:
    """Report the size of the lake, how much of it was written in the last 24 hours, and whether its tables open."""
    try:
        files = list(lake_files(settings))
    except (OSError, ModuleNotFoundError):  # a store that does not answer is a finding of `check_store`
        return []
    if not files:
        return []
    since = time.time() - DAY_SECONDS
    total, new = sum(file.size for file in files), sum(file.size for file in files if file.changed_at >= since)
    what = f"{_megabytes(total)} in {len(files):,} files, {_megabytes(new)} of it from the last 24 hours"
    return [Finding("lake", State.OK, what), *check_tables(settings)]


def check_tables(settings: Settings) -> list[Finding]:
    """Check that each table can be opened and has the declared columns; a later release may have added some."""
    try:
        from serving.delta_tables import DeltaTables, scan
    except ModuleNotFoundError:
        return [Finding("tables", State.WARN, "not checked: deltalake is not installed", INSTALL_READERS)]
    tables, opened, findings = DeltaTables(settings), 0, []
    for table in TABLES.values():
        try:
            scan(table, tables.newest(table))
        except TableMissing:
            continue
        except LakehouseError as error:
            findings.append(failed("tables", error))
        opened += 1
    return findings or [Finding("tables", State.OK, f"{opened} can be opened and have the declared columns")]


def _megabytes(size: int) -> str:
    return f"{size / 10**6:,.1f} MB"


def _check_disk(check: str, place: Path) -> Finding:
    existing = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    what = f"{free / 10**9:.1f} GB free under {place}"
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        hint = "Change its owner or permissions, or set another folder"
        return Finding(check, State.FAIL, f"{existing} is not a writable folder", hint)
    if free < MIN_FREE_BYTES:
        return Finding(check, State.FAIL, what, f"Free some space: at least {MIN_FREE_BYTES / 10**9:g} GB are needed")
    return Finding(check, State.OK, what)
