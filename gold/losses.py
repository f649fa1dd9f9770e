"""Whether the tables are still those that the last snapshot was taken of: commits may have been lost since."""

from __future__ import annotations

from lakehouse.lake import Lake
from lakehouse.offsets import Offsets
from lakehouse.progress import extent_of, progress_from_json
from lakehouse.snapshots import Snapshot
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.silver import EVENTS


def lost_tables(lake: Lake, last: Snapshot) -> list[str]:
    """Tables that have lost the version which the snapshot names; what follows it can't be trusted to be all.

    Silver may have lost a commit and written another under the same version since: then its offsets differ.
    """
    named = [table for table in SNAPSHOT_TABLES if table.full_name in last.versions]
    lost = [table for table in named if lake.commit_info(table, last.versions[table.full_name]) is None]
    if EVENTS not in lost and silver_offsets(lake, last.versions[EVENTS.full_name]) != last.offsets:
        lost.append(EVENTS)
    return [table.full_name for table in lost]


def silver_offsets(lake: Lake, version: int) -> Offsets:
    """How far silver had read at one of its versions: as the commit notes it, else from the rows."""
    commit = lake.commit_info(EVENTS, version) or {}
    noted = progress_from_json(commit.get("userMetadata"))
    return noted.offsets if noted is not None else extent_of(lake.read(EVENTS, version=version)).offsets
