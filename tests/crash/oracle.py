"""The oracle: what the producer's ledger and the rows say of a lake, read without any of its own checks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
from deltalake import DeltaTable

from lakehouse.settings import Settings
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS

POSITION = ["topic", "partition", "offset"]
TYPES = {"topic": pl.String, "partition": pl.Int32, "offset": pl.Int64}


@dataclass(frozen=True)
class Tally:
    """Positions counted.

    Attributes:
        acked: Records that the broker has acknowledged to a producer.
        unread: Those of them that bronze does not have.
        doubled: Positions that stand twice in bronze or in silver.
        gaps: Offsets between a partition's first and last that bronze does not have.
        unrefined: Bronze positions that silver does not have.
        invented: Silver positions that bronze does not have.
    """

    acked: int
    unread: int
    doubled: int
    gaps: int
    unrefined: int
    invented: int

    @property
    def is_sound(self) -> bool:
        """True where nothing is wrong; there may be work to do."""
        return not (self.doubled or self.gaps or self.invented)

    @property
    def is_complete(self) -> bool:
        """True where all acknowledged records are there, each once, up to silver."""
        return self.is_sound and not (self.unread or self.unrefined)


def tally(settings: Settings, acked: pl.DataFrame) -> Tally:
    """Counts the positions of the lake as it is, against those that producers were told."""
    # In this order: what silver has, bronze had before.
    silver = positions_in(settings, EVENTS)
    bronze = positions_in(settings, RAW_LOGS)
    return Tally(
        acked=acked.height,
        unread=_without(acked, bronze),
        doubled=int(bronze.is_duplicated().sum()) + int(silver.is_duplicated().sum()),
        gaps=_gaps(bronze),
        unrefined=_without(bronze, silver),
        invented=_without(silver, bronze),
    )


def positions_in(settings: Settings, table: Table) -> pl.DataFrame:
    """The positions of all rows of a table; none where it is not made yet."""
    uri = settings.table_uri(table.layer, table.name)
    if not DeltaTable.is_deltatable(uri):
        return pl.DataFrame(schema=TYPES)
    return pl.scan_delta(DeltaTable(uri)).select(POSITION).cast(TYPES).collect()


def acknowledged(*ledgers: Path) -> pl.DataFrame:
    """The positions that the ledgers name. A killed producer's last line may be cut off: it promised nothing."""
    whole = [ledger.read_bytes().rpartition(b"\n")[0] for ledger in ledgers if ledger.exists()]
    parts = [pl.read_ndjson(lines, schema_overrides=TYPES).select(POSITION) for lines in whole if lines]
    return pl.concat([pl.DataFrame(schema=TYPES), *parts])


def ends(positions: pl.DataFrame) -> dict[tuple[str, int], int]:
    """One past the largest offset of each partition."""
    largest = positions.group_by("topic", "partition").agg(pl.col("offset").max() + 1)
    return {(topic, partition): end for topic, partition, end in largest.iter_rows()}


def _without(part: pl.DataFrame, whole: pl.DataFrame) -> int:
    return part.join(whole, on=POSITION, how="anti").height


def _gaps(positions: pl.DataFrame) -> int:
    """No producer of ours uses transactions and no topic has a retention, so a gap is a loss."""
    spans = (
        positions.unique()
        .group_by("topic", "partition")
        .agg(gap=pl.col("offset").max() + 1 - pl.col("offset").min() - pl.len())
    )
    return int(spans["gap"].sum())
