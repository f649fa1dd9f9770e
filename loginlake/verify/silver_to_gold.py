"""From silver to gold: attempts, successes, failures and first logins add up at the versions of one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import polars as pl

from gold.transforms.first_seen import KINDS
from lakehouse.tables.gold import FIRST_SEEN
from lakehouse.tables.metrics import PAIR_ACTIVITY, STORED_METRICS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from loginlake.verify.pinned import PinnedLake
from loginlake.verify.report import Check, catch_unreadable, check, skipped
from serving.store import collected

MEASURES = ("attempts", "successes", "failures")
REBUILD_GOLD = "Run `loginlake rebuild gold`, which computes all of gold from silver"


def total_checks(lake: PinnedLake) -> Iterator[Check]:
    """Compare the totals of the base and of each stored metric, and the first logins, with silver's."""
    expected = silver_totals(lake.rows(EVENTS))
    for table in (PAIR_ACTIVITY, *(metric.table for metric in STORED_METRICS)):
        yield from _checks_of(lake, table, checks=partial(_table_checks, lake, table, expected=expected))
    yield from _checks_of(lake, FIRST_SEEN, checks=partial(_first_seen_checks, lake))


def _checks_of(lake: PinnedLake, table: Table, *, checks: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """Yield the checks of a gold table, or one result if it can't be read or if the snapshot is older than it."""
    claim = f"{table.full_name} can be read"
    if lake.is_older_than(table):
        yield skipped(claim, "the snapshot is older than the table", hint="Run `loginlake refresh` to compute it")
        return
    yield from catch_unreadable(claim, checks)


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


def _first_seen_checks(lake: PinnedLake) -> Iterable[Check]:
    is_success = (pl.col("verdict") == "accepted") & (pl.col("action") == "login") & (pl.col("outcome") == "success")
    values = (pl.struct("username", column).n_unique().alias(kind) for kind, column in KINDS.items())
    expected = collected(lake.rows(EVENTS).filter(is_success).select(*values), EVENTS).row(0, named=True)
    per_kind = collected(lake.rows(FIRST_SEEN).group_by("kind").len(), FIRST_SEEN)
    live = dict.fromkeys(KINDS, 0) | dict(per_kind.iter_rows())
    yield check(
        f"{FIRST_SEEN.full_name} has as many values of each kind as silver",
        (
            f"{FIRST_SEEN.full_name} has {count} of kind {kind}, silver has {expected.get(kind, 0)}"
            for kind, count in live.items()
            if count != expected.get(kind, 0)
        ),
        checked=sum(live.values()),
        hint=REBUILD_GOLD,
    )


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
