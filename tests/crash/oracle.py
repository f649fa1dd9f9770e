"""The oracle: compare a lake with the producer's ledger by reading its rows, without using any of its own checks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
from deltalake import DeltaTable

from lakehouse.settings import Settings
from lakehouse.tables.bronze import POSITION, RAW_LOGS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS

TYPES = {"topic": pl.String, "partition": pl.Int32, "offset": pl.Int64}


@dataclass(frozen=True)
class PositionCounts:
    """Counts of Kafka positions.

    Attributes:
        acknowledged: Positions that the broker acknowledged to a producer.
        missing_in_bronze: Acknowledged positions without a bronze row.
        duplicated: Positions with more than one row in bronze or in silver.
        gaps: Offsets between a partition's first and last one without a bronze row.
        missing_in_silver: Bronze positions without a silver row.
        only_in_silver: Silver positions without a bronze row.
    """

    acknowledged: int
    missing_in_bronze: int
    duplicated: int
    gaps: int
    missing_in_silver: int
    only_in_silver: int

    @property
    def is_sound(self) -> bool:
        """True if no row is duplicated, lost or invented; rows may still be unread."""
        return not (self.duplicated or self.gaps or self.only_in_silver)

    @property
    def is_complete(self) -> bool:
        """True if every acknowledged record has exactly one row in bronze and in silver."""
        return self.is_sound and not (self.missing_in_bronze or self.missing_in_silver)


def count_positions(settings: Settings, acknowledged: pl.DataFrame) -> PositionCounts:
    """Compare the positions of the lake's current rows with the acknowledged positions."""
    # Silver first: a row that is in silver now was in bronze before.
    silver = positions_in(settings, EVENTS)
    bronze = positions_in(settings, RAW_LOGS)
    return PositionCounts(
        acknowledged=acknowledged.height,
        missing_in_bronze=_count_missing(acknowledged, bronze),
        duplicated=int(bronze.is_duplicated().sum()) + int(silver.is_duplicated().sum()),
        gaps=_count_gaps(bronze),
        missing_in_silver=_count_missing(bronze, silver),
        only_in_silver=_count_missing(silver, bronze),
    )


def positions_in(settings: Settings, table: Table) -> pl.DataFrame:
    """Return the positions of all rows of a table; none if the table doesn't exist yet."""
    uri = settings.table_uri(table.layer, table.name)
    if not DeltaTable.is_deltatable(uri):
        return pl.DataFrame(schema=TYPES)
    return pl.scan_delta(DeltaTable(uri)).select(POSITION).cast(TYPES).collect()


def acknowledged(*ledgers: Path) -> pl.DataFrame:
    """Return the positions in the ledgers, without an incomplete last line, which a killed producer may leave."""
    complete_lines = [ledger.read_bytes().rpartition(b"\n")[0] for ledger in ledgers if ledger.exists()]
    parts = [pl.read_ndjson(lines, schema_overrides=TYPES).select(POSITION) for lines in complete_lines if lines]
    return pl.concat([pl.DataFrame(schema=TYPES), *parts])


def end_offsets(positions: pl.DataFrame) -> dict[tuple[str, int], int]:
    """Return the largest offset of each partition plus one."""
    largest = positions.group_by("topic", "partition").agg(pl.col("offset").max() + 1)
    return {(topic, partition): end for topic, partition, end in largest.iter_rows()}


def _count_missing(positions: pl.DataFrame, present: pl.DataFrame) -> int:
    return positions.join(present, on=POSITION, how="anti").height


def _count_gaps(positions: pl.DataFrame) -> int:
    """Count missing offsets; our producers use no transactions and our topics no retention, so each is a loss."""
    ranges = (
        positions.unique()
        .group_by("topic", "partition")
        .agg(gap=pl.col("offset").max() + 1 - pl.col("offset").min() - pl.len())
    )
    return int(ranges["gap"].sum())
