"""From silver to gold: attempts, successes and failures add up to the same at the versions of one snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import polars as pl

from lakehouse.tables.gold import PAIR_ACTIVITY, STORED_METRICS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from loginlake.verify.pinned import PinnedLake
from loginlake.verify.report import Check, catch_unreadable, check
from serving.store import collected

MEASURES = ("attempts", "successes", "failures")
REBUILD_GOLD = "Run `loginlake rebuild gold`, which computes all of gold from silver"


def total_checks(lake: PinnedLake) -> Iterator[Check]:
    """Compare the totals of the base and of each stored metric with silver's."""
    expected = silver_totals(lake.rows(EVENTS))
    for table in (PAIR_ACTIVITY, *(metric.table for metric in STORED_METRICS)):
        yield from catch_unreadable(
            f"{table.full_name} can be read", partial(_table_checks, lake, table, expected=expected)
        )


def silver_totals(events: pl.LazyFrame) -> dict[str, int]:
    """Return the totals of the accepted logins."""
    logins = events.filter((pl.col("verdict") == "accepted") & (pl.col("action") == "login"))
    outcome = pl.col("outcome")
    totals = logins.select(
        attempts=pl.col("times").sum(),
        successes=pl.col("times").filter(outcome == "success").sum(),
        failures=pl.col("times").filter(outcome == "failure").sum(),
    )
    return collected(totals, EVENTS).row(0, named=True)


def _table_checks(lake: PinnedLake, table: Table, *, expected: dict[str, int]) -> Iterable[Check]:
    measures = [name for name in MEASURES if name in table.column_names]
    totals = lake.rows(table).select(pl.len().alias("rows"), *(pl.col(name).sum() for name in measures))
    live = collected(totals, table).row(0, named=True)
    differing = [name for name in measures if live[name] != expected[name]]
    yield check(
        f"{', '.join(measures)} of {table.full_name} add up to silver's",
        (f"{table.full_name} has {live[name]} {name}, silver has {expected[name]}" for name in differing),
        checked=live["rows"],
        hint=REBUILD_GOLD,
    )
