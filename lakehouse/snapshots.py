"""Snapshots: one row of `gold.snapshots` names the versions of silver and gold at one instant."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

import msgspec

from lakehouse.clock import instant_text
from lakehouse.errors import InFuture, LakeUnreadable, SnapshotExpired, SnapshotMissing
from lakehouse.progress import Instant, Partition, offsets_from_json, offsets_to_json
from lakehouse.tables.gold import SNAPSHOTS

# Property of gold.snapshots: the id of the oldest retained snapshot. Existing lakes store it under this name. After a
# rename, a reader of such a lake would take snapshots for retained whose files maintenance has deleted.
RETAINED_FROM = "loginlake.promisedFrom"
NO_SNAPSHOT = "Run `loginlake refresh` to publish one"


@dataclass(frozen=True)
class Snapshot:
    """All tables at one instant.

    Attributes:
        id: 1, 2, 3 and so on.
        at: Instant of publication, UTC.
        versions: Version of each of `SNAPSHOT_TABLES`, by full name.
        offsets: Next Kafka offset per topic and partition; the records below are covered.
        last_event_at: Largest event time covered; None while silver has no event.
        last_append_at: Largest append time covered; None while silver is empty.
        enrichment: Versions of the enrichment data.
    """

    id: int
    at: datetime
    versions: Mapping[str, int]
    offsets: Mapping[Partition, int]
    last_event_at: datetime | None
    last_append_at: datetime | None
    enrichment: Mapping[str, str]

    @property
    def now(self) -> datetime | None:
        """The instant by which windows are closed: the largest event time covered, at most the largest append time."""
        if self.last_event_at is None or self.last_append_at is None:
            return None
        return min(self.last_event_at, self.last_append_at)

    @property
    def description(self) -> str:
        """The subject of a sentence about the snapshot: its id and its instant."""
        return f"Snapshot {self.id}, of {instant_text(self.at)},"

    def row(self) -> dict[str, Any]:
        """Return the snapshot as a row of `gold.snapshots`."""
        return {
            "id": self.id,
            "at": self.at,
            "versions": json.dumps(dict(self.versions), sort_keys=True),
            "offsets": offsets_to_json(self.offsets),
            "last_event_at": self.last_event_at,
            "last_append_at": self.last_append_at,
            "enrichment": json.dumps(dict(self.enrichment), sort_keys=True),
        }

    def user_metadata(self) -> str:
        """Return the row as JSON, the note of the commit that publishes it."""
        return json.dumps({"snapshot": self.row()}, default=lambda instant: instant.isoformat(), sort_keys=True)


class Row(msgspec.Struct, frozen=True):
    """A row of `gold.snapshots`."""

    id: int
    at: Instant
    versions: str
    offsets: str
    last_event_at: Instant | None
    last_append_at: Instant | None
    enrichment: str

    def snapshot(self) -> Snapshot:
        """Return the snapshot of the row."""
        return Snapshot(
            id=self.id,
            at=self.at,
            versions=VERSIONS.decode(self.versions),
            offsets=offsets_from_json(self.offsets),
            last_event_at=self.last_event_at,
            last_append_at=self.last_append_at,
            enrichment=ENRICHMENT.decode(self.enrichment),
        )


class SnapshotNote(msgspec.Struct, frozen=True):
    """The note of the commit that publishes a snapshot, written by `Snapshot.user_metadata`."""

    row: Row = msgspec.field(name="snapshot")


VERSIONS = msgspec.json.Decoder(dict[str, int])
ENRICHMENT = msgspec.json.Decoder(dict[str, str])
NOTE = msgspec.json.Decoder(SnapshotNote)


def snapshot_from_row(row: Mapping[str, Any]) -> Snapshot:
    """Return the snapshot of a row of `gold.snapshots`.

    Raises:
        LakeUnreadable: A value is damaged.
    """
    try:
        return msgspec.convert(row, Row).snapshot()
    except msgspec.DecodeError as error:
        raise LakeUnreadable(
            f"{SNAPSHOTS.full_name} has a damaged row",
            hint="Restore the files of the table from a copy of the lake",
            table=SNAPSHOTS.full_name,
        ) from error


def snapshot_from_metadata(text: str | None) -> Snapshot | None:
    """Return the snapshot in the userMetadata of a commit of `gold.snapshots`; None if it has none."""
    try:
        return NOTE.decode(text or "").row.snapshot()
    except msgspec.DecodeError:
        return None


def next_instant(previous: Snapshot | None, *, clock: datetime) -> datetime:
    """Return the instant of the next snapshot: the clock's, but always later than the previous one."""
    if previous is None:
        return clock
    return max(clock, previous.at + timedelta(microseconds=1))


def oldest_needed(snapshots: Sequence[Snapshot], *, since: datetime) -> Snapshot:
    """Return the oldest snapshot that was the newest one at any time from `since` on.

    Args:
        snapshots: All published snapshots, oldest first; at least one.
        since: An instant, UTC.
    """
    superseded = [later for later in snapshots if later.at <= since]
    return superseded[-1] if superseded else snapshots[0]


def resolve_snapshot(
    snapshots: Sequence[Snapshot],
    *,
    retained_from: int,
    snapshot_id: int | None = None,
    as_of: datetime | None = None,
    clock: datetime,
) -> Snapshot:
    """Return the requested snapshot, by id or by instant; without either, the last one.

    Args:
        snapshots: All published snapshots, oldest first.
        retained_from: The id of the oldest one whose files are still retained.
        snapshot_id: The requested id.
        as_of: An instant, UTC: the last snapshot published at or before it.
        clock: The current instant.

    Raises:
        SnapshotMissing: None is published yet, the id is unknown, or `as_of` is before the first one.
        SnapshotExpired: The snapshot is no longer retained.
        InFuture: `as_of` is later than now.
    """
    if not snapshots:
        raise SnapshotMissing("No snapshot is published yet", hint=NO_SNAPSHOT)
    if snapshot_id is not None:
        at_or_after = snapshots[(first := _first_from(snapshots, snapshot_id)) : first + 1]
        found = next((snapshot for snapshot in at_or_after if snapshot.id == snapshot_id), None)
        missing = f"There is no snapshot {snapshot_id}"
    elif as_of is None:
        return snapshots[-1]
    elif as_of > clock:
        raise InFuture(
            f"{instant_text(as_of)} is in the future", hint=f"Ask for an instant up to {instant_text(clock)}"
        )
    else:
        published_by_then = bisect_right(snapshots, as_of, key=attrgetter("at"))
        found = snapshots[published_by_then - 1] if published_by_then else None
        missing = f"Nothing was published by {instant_text(as_of)}"
    oldest = _oldest_retained(snapshots, retained_from)
    if found is None:
        raise SnapshotMissing(missing, hint=_retained_hint(oldest, snapshots[-1]), oldest=oldest.id)
    if found.id < oldest.id:
        raise snapshot_expired(found.description, snapshots, retained_from=retained_from)
    return found


def snapshot_expired(what: str, snapshots: Sequence[Snapshot], *, retained_from: int) -> SnapshotExpired:
    """Return the error for a snapshot, or a version of a table, whose files may be deleted.

    Args:
        what: What is no longer retained: a description of the snapshot, or `Version 3 of silver.events`.
        snapshots: All published snapshots, oldest first; at least one.
        retained_from: The id of the oldest one whose files are still retained.
    """
    oldest = _oldest_retained(snapshots, retained_from)
    hint = _retained_hint(oldest, snapshots[-1])
    return SnapshotExpired(f"{what} is no longer retained", hint=hint, oldest=oldest.id)


def _oldest_retained(snapshots: Sequence[Snapshot], retained_from: int) -> Snapshot:
    return snapshots[min(_first_from(snapshots, retained_from), len(snapshots) - 1)]


def _retained_hint(oldest: Snapshot, last: Snapshot) -> str:
    if oldest == last:
        return f"The only retained snapshot is {oldest.id}, of {instant_text(oldest.at)}"
    return f"Ask for a snapshot from {oldest.id} to {last.id}; {oldest.id} is of {instant_text(oldest.at)}"


def _first_from(snapshots: Sequence[Snapshot], snapshot_id: int) -> int:
    """Return the place of the first snapshot with at least this id, among snapshots oldest first."""
    return bisect_left(snapshots, snapshot_id, key=attrgetter("id"))
