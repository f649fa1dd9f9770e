"""How far silver has read bronze: cached in each silver commit, and computed from the rows where it is not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import msgspec

from lakehouse.offsets import NestedOffsets, Offsets, Partition, flat_offsets, nested_offsets
from lakehouse.tables.silver import EVENTS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from lakehouse.lake import Lake


@dataclass(frozen=True)
class Progress:
    """How far silver has read bronze.

    Attributes:
        offsets: Next offset per topic and partition.
        ingested_on: Ingest day of the last row read: unread rows lie on it or later. None while silver is empty.
        enrichment: Versions of the enrichment data of the last commit.
    """

    offsets: Offsets
    ingested_on: date | None
    enrichment: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """The userMetadata of a silver commit."""
        day = self.ingested_on.isoformat() if self.ingested_on else None
        noted = {"offsets": nested_offsets(self.offsets), "ingested_on": day, "enrichment": dict(self.enrichment)}
        return json.dumps(noted, sort_keys=True)


class Noted(msgspec.Struct, frozen=True):
    """What `Progress.to_json` writes."""

    offsets: NestedOffsets
    ingested_on: date | None
    enrichment: dict[str, str]


NOTED = msgspec.json.Decoder(Noted)


def progress_from_json(text: str | None) -> Progress | None:
    """The progress that a silver commit's userMetadata notes, None where it notes none, or something else."""
    try:
        noted = NOTED.decode(text or "")
    except msgspec.DecodeError:
        return None
    return Progress(flat_offsets(noted.offsets), noted.ingested_on, noted.enrichment)


def read_progress(lake: Lake) -> Progress:
    """How far silver has read: from its newest commit where that says so, else from its rows."""
    noted = progress_from_json(lake.user_metadata(EVENTS))
    if noted is not None:
        return noted
    extent = extent_of(lake.read(EVENTS))
    return Progress(extent.offsets, extent.ingested_on)


@dataclass(frozen=True)
class Extent:
    """What a set of silver rows spans: how many, next offsets, event days, last ingest day."""

    rows: int
    offsets: dict[Partition, int]
    days: list[date]
    ingested_on: date | None


def extent_of(events: DataFrame) -> Extent:
    """The extent of silver rows, in one pass."""
    from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

    spans = (
        events.groupBy("topic", "partition")
        .agg(
            F.count("*").alias("rows"),
            (F.max("offset") + 1).alias("next_offset"),
            F.collect_set("event_on").alias("days"),
            F.max(F.to_date("ingested_at")).alias("ingested_on"),
        )
        .collect()
    )
    return Extent(
        rows=sum(span["rows"] for span in spans),
        offsets={(span["topic"], span["partition"]): span["next_offset"] for span in spans},
        days=sorted({day for span in spans for day in span["days"]}),
        ingested_on=max((span["ingested_on"] for span in spans), default=None),
    )
