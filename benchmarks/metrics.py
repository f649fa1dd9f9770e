"""Every metric computed from the base at read time, compared with a polars scan of the same files in the same run.

    python benchmarks/metrics.py --rows 1000000

The base has 90 days with one file each, as after maintenance. The floor reads the same days of it and adds up every
column of numbers. A metric is read as REST and `query` read it: filtered, sorted, and cut to the first 100 rows. Stored
metrics are computed from the base too.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from deltalake import write_deltalake
from harness import print_table, seconds_of

from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot
from lakehouse.tables.metrics import METRICS, PAIR_ACTIVITY
from lakehouse.tables.model import Metric, Window
from lakehouse.tables.silver import FAILURE_REASONS
from serving.queries import MetricQuery, metric_rows_at_snapshot, newest_windows_first
from serving.selection import Period, Selection
from serving.store import Store

START = datetime(2026, 1, 5, tzinfo=UTC)
DAYS = 90
END = START + timedelta(days=DAYS)
# Most users log in from one of their own addresses; one login in twenty is from any of the others.
USERS, OWN_ADDRESSES, OTHER_ADDRESSES = 2_000, 3, 20_000
APPS = ("portal", "vpn", "mail", "sshd", "wiki")
COUNTRIES = ("DE", "FR", "US", "BR", "IN", "CN", "JP", "ZA")
FLOOR = "scan of the base"
ALL_DAYS, LAST_DAY = Period(START, END), Period(END - timedelta(days=1), END)
# What is read: the title, the windows, the period and the goal in seconds.
READS: tuple[tuple[str, Window, Period, float], ...] = (
    ("one day", "day", LAST_DAY, 0.05),
    ("90 days by the day", "day", ALL_DAYS, 1.0),
    ("90 days by the week", "week", ALL_DAYS, 1.0),
)


def main() -> None:
    """Print one table per period."""
    arguments = _arguments()
    with TemporaryDirectory(prefix="loginlake-bench-") as folder:
        settings = Settings(root=folder, state=Path(folder) / "state", _env_file=None)
        write_base(settings, rows=arguments.rows)
        for title, every, period, goal in READS:
            seconds = measure(Store(settings), every=every, period=period, rounds=arguments.rounds)
            print_seconds(f"{title}, {arguments.rows:,} rows", seconds, goal=goal)


def measure(store: Store, *, every: Window, period: Period, rounds: int) -> dict[str, float]:
    """Return the median seconds of the floor and of each metric that has these windows."""
    works = {FLOOR: partial(scan, store, period)}
    works |= {
        metric.name: partial(rows_of, replace(metric, stored=None), store, every=every, period=period)
        for metric in METRICS
        if every in metric.every
    }
    for work in works.values():
        work()  # opens the table and imports what it needs
    return {name: median(seconds_of(work) for _ in range(rounds)) for name, work in works.items()}


def print_seconds(title: str, seconds: dict[str, float], *, goal: float) -> None:
    """Print a table with one row for the floor and one per metric."""
    rows = [
        (name, f"{each:.4f}", each / seconds[FLOOR], "" if name == FLOOR else f"≤ {goal:g} s")
        for name, each in seconds.items()
    ]
    print_table((title, "seconds", "x scan", "goal"), rows)


def scan(store: Store, period: Period) -> None:
    """Read the days of the period and add up every column of numbers."""
    base = store.rows(PAIR_ACTIVITY, SNAPSHOT).filter(pl.col("window_on").is_between(*_days(period)))
    base.select(pl.len(), pl.selectors.integer().sum().name.suffix("_sum")).collect()


def rows_of(metric: Metric, store: Store, *, every: Window, period: Period) -> None:
    """Read the first rows of a metric."""
    query = MetricQuery(metric, every, period, Selection(order_by=newest_windows_first(metric)))
    if metric_rows_at_snapshot(query, store, snapshot=SNAPSHOT).is_empty():
        raise SystemExit(f"{metric.name} has no rows")


def write_base(settings: Settings, *, rows: int) -> None:
    """Write random rows of the base: as many on each day, and the failures of a row for one reason."""
    chance = np.random.default_rng(1)
    hours = np.sort(chance.integers(0, DAYS * 24, rows))
    users = chance.integers(0, USERS, rows)
    own = users * OWN_ADDRESSES + chance.integers(0, OWN_ADDRESSES, rows)
    others = USERS * OWN_ADDRESSES + chance.integers(0, OTHER_ADDRESSES, rows)
    addresses = np.where(chance.random(rows) < 0.05, others, own)
    successes, failures = chance.integers(0, 3, rows), chance.integers(0, 3, rows)
    reason = chance.integers(0, len(FAILURE_REASONS), rows)
    window_at = pl.lit(START) + pl.duration(hours=pl.col("hour"))
    base = pl.DataFrame(
        {
            "hour": hours,
            "address": addresses,
            "username": users,
            "app": np.array(APPS)[chance.integers(0, len(APPS), rows)],
            "country": np.array(COUNTRIES)[addresses % len(COUNTRIES)],
            "successes": successes,
            "mfa_successes": successes // 2,
            "probes": chance.integers(0, 2, rows),
            "failures": failures,
            **{f"failures_{name}": failures * (reason == at) for at, name in enumerate(FAILURE_REASONS)},
        }
    ).with_columns(
        username=pl.format("user{}", "username"),
        src_ip=pl.format("10.{}.{}.1", pl.col("address") // 256, pl.col("address") % 256),
        lockouts=pl.lit(0),
        is_private=pl.lit(value=True),
        window_at=window_at,
        window_on=window_at.dt.date(),
        first_at=window_at,
        last_at=window_at + pl.duration(minutes=50),
    )
    base = base.with_columns(
        attempts=pl.col("successes") + pl.col("failures"),
        last_success_at=pl.when(pl.col("successes") > 0).then("last_at"),
        last_failure_at=pl.when(pl.col("failures") > 0).then("last_at"),
    )
    write_deltalake(
        settings.table_uri(PAIR_ACTIVITY.layer, PAIR_ACTIVITY.name),
        base.select(PAIR_ACTIVITY.column_names).to_arrow().cast(PAIR_ACTIVITY.arrow_schema()),
        partition_by=list(PAIR_ACTIVITY.partition_by),
    )


SNAPSHOT = Snapshot(
    id=1,
    at=END,
    versions={PAIR_ACTIVITY.full_name: 0},
    offsets={("logs", 0): 1},
    last_event_at=END,
    last_append_at=END,
    enrichment={},
)


def _days(period: Period) -> tuple[object, object]:
    if period.since is None or period.until is None:
        raise ValueError("The period has no bounds")
    return period.since.date(), (period.until - timedelta(days=1)).date()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=10)
    return parser.parse_args()


if __name__ == "__main__":
    main()
