"""How far bronze has read Kafka: each batch's commit notes it. What other hands wrote is read from the rows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from lakehouse.offsets import NestedOffsets, Offsets, flat_offsets, nested_offsets
from lakehouse.snapshots import Instant
from lakehouse.tables.bronze import RAW_LOGS

if TYPE_CHECKING:
    from lakehouse.lake import Lake

# Operations of Delta that neither bring rows nor take any away.
ROWLESS = ("CREATE TABLE", "SET TBLPROPERTIES", "OPTIMIZE")


@dataclass(frozen=True)
class Extent:
    """How far bronze has read.

    Attributes:
        offsets: The next offset, per topic and partition that it has read from.
        last_ingest: The instant of the last batch, UTC; None while bronze is empty.
    """

    offsets: Offsets
    last_ingest: datetime | None

    def to_json(self) -> str:
        """The userMetadata of a batch's commit."""
        instant = self.last_ingest.isoformat() if self.last_ingest else None
        return json.dumps({"offsets": nested_offsets(self.offsets), "last_ingest": instant}, sort_keys=True)


class Told(NamedTuple):
    """What a commit of bronze says of itself: what Delta did, and the note, each None where it says nothing."""

    operation: str | None
    user_metadata: str | None


class Noted(msgspec.Struct, frozen=True):
    """What `Extent.to_json` writes."""

    offsets: NestedOffsets
    last_ingest: Instant | None


NOTED = msgspec.json.Decoder(Noted)


def noted_extent(newest_first: Iterable[Told]) -> Extent | None:
    """The extent that the newest commit with rows notes; None where it notes none, or something else.

    Args:
        newest_first: All commits of bronze, or as many of them as the log still has.
    """
    for commit in newest_first:
        noted = _extent_from_json(commit.user_metadata)
        if noted is not None:
            return noted
        if commit.operation not in ROWLESS:
            return None
    return Extent({}, None)


def read_noted_extent(lake: Lake) -> Extent | None:
    """The extent that bronze notes, None where it notes none; no Spark job is needed for it."""
    commits = (lake.commit_info(RAW_LOGS, version) or {} for version in range(lake.version(RAW_LOGS), -1, -1))
    return noted_extent(Told(commit.get("operation"), commit.get("userMetadata")) for commit in commits)


def _extent_from_json(text: str | None) -> Extent | None:
    try:
        noted = NOTED.decode(text or "")
    except msgspec.DecodeError:
        return None
    return Extent(flat_offsets(noted.offsets), noted.last_ingest)
