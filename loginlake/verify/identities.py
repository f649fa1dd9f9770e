"""Every event counts once: ids are distinct among accepted rows, and each duplicate has its winner."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from lakehouse.tables.silver import EVENTS
from loginlake.verify.positions import REBUILD
from loginlake.verify.ranges import named_ranges
from loginlake.verify.report import Check, check
from loginlake.verify.scope import Scope
from serving.store import collected

IDENTITY = ["event_on", "event_id"]
WINNER = ["winner_topic", "winner_partition", "winner_offset"]


def identity_checks(scope: Scope) -> Iterator[Check]:
    """What the ids and the winners in silver say."""
    events = scope.events()
    accepted = events.filter(pl.col("verdict") == "accepted")
    yield accepted_once(accepted)
    yield winners_exist(events, accepted)


def accepted_once(accepted: pl.LazyFrame) -> Check:
    """Every event id is accepted once in its event day."""
    times = accepted.group_by(IDENTITY).len()
    repeated = collected(times.filter(pl.col("len") > 1).sort(IDENTITY), EVENTS)
    return check(
        "every event id is accepted once in its day",
        (f"{day} {event_id} accepted {copies} times" for day, event_id, copies in repeated.iter_rows()),
        checked=collected(accepted.select(pl.len()), EVENTS).item(),
        hint=REBUILD,
    )


def winners_exist(events: pl.LazyFrame, accepted: pl.LazyFrame) -> Check:
    """Every duplicate names an accepted row with the same event day and id."""
    duplicates = events.filter(pl.col("verdict") == "duplicate")
    winners = accepted.select(*IDENTITY, winner_topic="topic", winner_partition="partition", winner_offset="offset")
    lost = duplicates.join(winners, on=[*IDENTITY, *WINNER], how="anti", nulls_equal=True)
    positions = collected(lost.select("topic", "partition", "offset"), EVENTS)
    return check(
        "every duplicate names an accepted copy with its day and id",
        named_ranges(positions, "has no such winner"),
        checked=collected(duplicates.select(pl.len()), EVENTS).item(),
        count=positions.height,
        hint=REBUILD,
    )
