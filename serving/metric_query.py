"""A question about a metric, parsed and checked once, for REST and the command line alike."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import polars as pl

from gold.transforms.metrics import metric_rows
from lakehouse.errors import TableMissing
from lakehouse.snapshots import Snapshot
from lakehouse.tables import METRICS_BY_NAME
from lakehouse.tables.gold import PAIR_ACTIVITY
from lakehouse.tables.model import Metric, Window
from serving.parameters import FROM, LIMIT, TO, Given, Parameter
from serving.selection import Order, Period, Selection, filter_parameters, order_parameter, period, selection
from serving.store import Store, collected
from serving.values import one_of, shortened


@dataclass(frozen=True)
class MetricQuery:
    """Which rows of a metric are wanted."""

    metric: Metric
    every: Window
    period: Period
    selection: Selection

    @property
    def canonical(self) -> str:
        """The same text for the same question, however it was written."""
        return repr((self.metric.name, self.every, self.period, self.selection))


def metric_named(name: str) -> Metric:
    """The metric of that name.

    Raises:
        TableMissing: No metric has that name.
    """
    if name not in METRICS_BY_NAME:
        raise TableMissing(f"There is no metric {shortened(name)}", hint=f"Name one of {', '.join(METRICS_BY_NAME)}")
    return METRICS_BY_NAME[name]


def metric_parameters(metric: Metric) -> tuple[Parameter[Any], ...]:
    """What a question about the metric may say, beside which snapshot it is about."""
    return (
        every_parameter(metric),
        FROM,
        TO,
        *filter_parameters(metric.dimensions),
        order_parameter(metric.columns),
        LIMIT,
    )


def every_parameter(metric: Metric) -> Parameter[str]:
    """`every=`: the length of the windows."""
    return Parameter(
        "every",
        one_of(*metric.every),
        f"Length of the windows; {default_window(metric)} unless given.",
        schema={"type": "string", "enum": list(metric.every), "default": default_window(metric)},
    )


def default_window(metric: Metric) -> Window:
    """The window that is stored, since it answers fastest; else the metric's first."""
    return metric.stored or metric.every[0]


def metric_query(metric: Metric, asked: Given, *, clock: datetime) -> MetricQuery:
    """The question as checked values.

    Args:
        metric: What it is about.
        asked: Parameters among `metric_parameters(metric)`; others are left alone.
        clock: Now, for a period relative to it.

    Raises:
        BadQuery: A value can't be read or is not allowed; the error names what is.
    """
    return MetricQuery(
        metric=metric,
        every=cast("Window", asked.one(every_parameter(metric)) or default_window(metric)),
        period=period(asked, clock),
        selection=selection(asked, metric.dimensions, ordered=metric.columns, default=_default_order(metric)),
    )


def answer(query: MetricQuery, store: Store, *, snapshot: Snapshot) -> pl.DataFrame:
    """The rows that the query asks for, at the snapshot.

    Raises:
        LakeUnreadable: A file is missing or damaged.
        TableMissing: The snapshot is older than the metric's table.
    """
    stored = query.metric.stored == query.every
    table = query.metric.table if stored else PAIR_ACTIVITY
    # A window lies within one day, so whole windows are left when days are filtered.
    whole_days = store.rows(table, snapshot).filter(*query.period.days("window_on"))
    rows = whole_days if stored else metric_rows(query.metric, whole_days, every=query.every)
    in_period = cast("pl.LazyFrame", rows).filter(*query.period.instants("window_at"))
    return collected(query.selection.of(in_period, query.metric.key), table)


def _default_order(metric: Metric) -> tuple[Order, ...]:
    """The newest window first, and in it the rows that counted most."""
    return (Order("window_at", descending=True), Order(metric.measures[0].name, descending=True))
