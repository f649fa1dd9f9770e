"""From bronze to silver: both have the same positions, each once, and silver accepts every event once."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from lakehouse.tables.bronze import POSITION
from lakehouse.tables.silver import EVENTS, IDENTITY, WINNER
from loginlake.verify.pinned import PinnedLake
from loginlake.verify.ranges import describe_ranges
from loginlake.verify.report import Check, check
from serving.store import collected

REBUILD_SILVER = "Run `loginlake rebuild silver`, which decodes all of bronze again"
RESTORE_BRONZE = (
    "Restore bronze from a copy of the lake; or, while Kafka still has these records, read the topic into a new lake"
)


def position_checks(lake: PinnedLake) -> Iterator[Check]:
    """Compare the positions of bronze and silver."""
    yield _unique_check("bronze", lake.bronze_positions, hint=RESTORE_BRONZE)
    yield _unique_check("silver", lake.silver_positions, hint=REBUILD_SILVER)
    yield _subset_check(
        "silver has every bronze row up to its last position",
        lake.bronze_read_by_silver,
        whole=lake.silver_positions,
        hint=REBUILD_SILVER,
    )
    yield _subset_check(
        "bronze has every silver row", lake.silver_positions, whole=lake.bronze_positions, hint=RESTORE_BRONZE
    )


def _unique_check(layer: str, positions: pl.DataFrame, *, hint: str) -> Check:
    repeated = positions.group_by(POSITION).len().filter(pl.col("len") > 1)
    return check(
        f"{layer} has every position only once",
        describe_ranges(repeated, "appears more than once"),
        checked=positions.height,
        count=repeated.height,
        hint=hint,
    )


def _subset_check(claim: str, part: pl.DataFrame, *, whole: pl.DataFrame, hint: str) -> Check:
    missing = part.join(whole, on=POSITION, how="anti")
    return check(claim, describe_ranges(missing, "missing"), checked=part.height, count=missing.height, hint=hint)


def identity_checks(lake: PinnedLake) -> Iterator[Check]:
    """Check that every event is accepted once, and that each duplicate refers to the accepted row."""
    events = lake.events()
    accepted = events.filter(pl.col("verdict") == "accepted")
    yield _accepted_once_check(accepted)
    yield _winners_check(events, accepted)


def _accepted_once_check(accepted: pl.LazyFrame) -> Check:
    counts = accepted.group_by(IDENTITY).len()
    repeated = collected(counts.filter(pl.col("len") > 1).sort(IDENTITY), EVENTS)
    return check(
        "silver accepts each event id once per event day",
        (f"{day} {event_id} is accepted {copies} times" for day, event_id, copies in repeated.iter_rows()),
        checked=collected(accepted.select(pl.len()), EVENTS).item(),
        hint=REBUILD_SILVER,
    )


def _winners_check(events: pl.LazyFrame, accepted: pl.LazyFrame) -> Check:
    duplicates = events.filter(pl.col("verdict") == "duplicate")
    winners = accepted.select(*IDENTITY, winner_topic="topic", winner_partition="partition", winner_offset="offset")
    without = duplicates.join(winners, on=[*IDENTITY, *WINNER], how="anti", nulls_equal=True)
    positions = collected(without.select(POSITION), EVENTS)
    return check(
        "each duplicate names an accepted row with the same event day and id",
        describe_ranges(positions, "names a row that is not accepted or has another id"),
        checked=collected(duplicates.select(pl.len()), EVENTS).item(),
        count=positions.height,
        hint=REBUILD_SILVER,
    )
