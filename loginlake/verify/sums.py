"""Gold's attempts, successes and failures are those of silver, at the versions of one snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import polars as pl

from lakehouse.snapshots import Snapshot
from lakehouse.tables.gold import PAIR_ACTIVITY, STORED_METRICS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from loginlake.verify.readable import readable
from loginlake.verify.report import Check, check
from loginlake.verify.scope import Scope
from serving.store import collected

SUMS = ("attempts", "successes", "failures")
REBUILD = "Run `loginlake rebuild gold`: all of it is computed from silver"


def sum_checks(scope: Scope, snapshot: Snapshot) -> Iterator[Check]:
    """The base and each stored metric, held against silver."""
    expected = silver_sums(scope.rows(EVENTS, snapshot))
    for table in (PAIR_ACTIVITY, *(metric.table for metric in STORED_METRICS)):
        yield from readable(
            f"{table.full_name} can be read", partial(_table_checks, scope, snapshot, table=table, expected=expected)
        )


def _table_checks(scope: Scope, snapshot: Snapshot, *, table: Table, expected: dict[str, int]) -> Iterator[Check]:
    yield sum_check(table, scope.rows(table, snapshot), expected=expected)


def silver_sums(events: pl.LazyFrame) -> dict[str, int]:
    """What gold must add up to."""
    logins = events.filter((pl.col("verdict") == "accepted") & (pl.col("action") == "login"))
    outcome = pl.col("outcome")
    summed = logins.select(
        attempts=pl.col("times").sum(),
        successes=pl.col("times").filter(outcome == "success").sum(),
        failures=pl.col("times").filter(outcome == "failure").sum(),
    )
    return collected(summed, EVENTS).row(0, named=True)


def sum_check(table: Table, rows: pl.LazyFrame, *, expected: dict[str, int]) -> Check:
    """The sums of one table."""
    found = collected(rows.select(pl.len().alias("rows"), *(pl.col(name).sum() for name in SUMS)), table).row(
        0, named=True
    )
    differing = [name for name in SUMS if found[name] != expected[name]]
    return check(
        f"{', '.join(SUMS)} of {table.full_name} are silver's",
        (f"{found[name]} {name} in {table.full_name}, {expected[name]} in silver" for name in differing),
        checked=found["rows"],
        hint=REBUILD,
    )
