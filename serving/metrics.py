"""The rows of a metric at a snapshot: read where a table has them, else computed from the base."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

import polars as pl

from lakehouse.snapshots import Snapshot
from lakehouse.tables.metrics import PAIR_ACTIVITY
from lakehouse.tables.model import Metric, Table, Window
from serving.selection import ALWAYS, Period
from serving.store import Store

EARLIEST = datetime.min.replace(tzinfo=UTC)
# The most days that a window lies in.
WINDOW_DAYS: dict[Window, int] = {"hour": 1, "day": 1, "week": 7, "month": 31}


def source_of(metric: Metric, every: Window) -> Table:
    """Return the table that the rows are read from: the metric's own if it stores these windows, else the base."""
    return metric.table if metric.stored == every else PAIR_ACTIVITY


def metric_frame(
    metric: Metric, store: Store, *, every: Window, snapshot: Snapshot, period: Period = ALWAYS
) -> pl.LazyFrame:
    """Return the rows of the windows that start in a period, in no order.

    Raises:
        SchemaDiffers: The table has an undeclared column, or one of another type.
        TableMissing: The snapshot is older than the table.
    """
    source = source_of(metric, every)
    needed = replace(period, since=_read_from(metric, period.since))
    whole_windows = store.rows(source, snapshot).filter(*needed.days("window_on", window_days=WINDOW_DAYS[every]))
    rows = whole_windows if metric.stored == every else _computed(metric, whole_windows, every=every)
    return rows.filter(*period.instants("window_at"))


def _read_from(metric: Metric, since: datetime | None) -> datetime | None:
    """Return the instant from which the rows of a metric depend on the base; None is its beginning."""
    if since is None or metric.history is None:
        return None
    return since - min(metric.history, since - EARLIEST)


def _computed(metric: Metric, base: pl.LazyFrame, *, every: Window) -> pl.LazyFrame:
    from gold.transforms.metrics import metric_rows  # narwhals, which a stored metric does not need

    return cast("pl.LazyFrame", metric_rows(metric, base, every=every))
