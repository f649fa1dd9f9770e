"""The metrics: one narwhals function each, run by Spark for gold and by polars for serving.

To add a metric: declare it in `lakehouse/tables/metrics.py` and write the function that computes it from the base here,
marked with `@computes(...)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import narwhals.stable.v2 as nw

from gold.transforms.base import any_of, days_since_monday, window_start, with_windows
from lakehouse.tables.metrics import (
    ACTIVE_USERS,
    APP_ACTIVITY,
    BASELINE_WEEKS,
    COUNTRY_ACTIVITY,
    FAILURES_BY_REASON,
    HOUR_OF_WEEK,
    IP_ACTIVITY,
    USER_ACTIVITY,
)
from lakehouse.tables.model import Metric, Window
from lakehouse.tables.silver import FAILURE_REASONS

# Rows of the base, with `window_at` truncated to the window of the metric, and their hour as `hour_at`.
Pairs: TypeAlias = nw.LazyFrame[Any]
# Rows of a metric.
Rows: TypeAlias = nw.LazyFrame[Any]
Aggregation: TypeAlias = Callable[[Pairs], Rows]

# A user without a success for so long counts as reactivated by the next one.
AWAY = "30d"
# Stands for null while failures are counted by reason.
WITHOUT_REASON = "without_reason"
AGGREGATIONS: dict[str, Aggregation] = {}


def metric_rows(metric: Metric, base: Any, *, every: Window) -> Any:
    """Return the rows of a metric, computed from the base.

    Args:
        metric: Its declaration.
        base: Rows of gold.pair_activity_hourly as a native frame of Spark or polars; all rows of each window, and all
            earlier ones if the metric reads them.
        every: Length of the windows.

    Returns:
        A lazy frame of the same engine with the columns that the metric declares.
    """
    pairs = (
        nw.from_native(base)
        .lazy()
        .with_columns(window_at=window_start(nw.col("window_at"), every), hour_at=nw.col("window_at"))
    )
    return with_windows(AGGREGATIONS[metric.name](pairs), metric.columns)


def computes(metric: Metric) -> Callable[[Aggregation], Aggregation]:
    """Register the decorated function as the one that computes a metric from the base."""

    def register(aggregation: Aggregation) -> Aggregation:
        AGGREGATIONS[metric.name] = aggregation
        return aggregation

    return register


@computes(IP_ACTIVITY)
def ip_activity(pairs: Pairs) -> Rows:
    """Return the attempts per source address and window."""
    per_ip = pairs.group_by("window_at", "src_ip").agg(
        **_sums("attempts", "successes", "failures", "probes", "lockouts"),
        users=_distinct("username", where="attempts"),
        users_failed=_distinct("username", where="failures"),
        apps=_distinct("app", where="attempts"),
        country=nw.col("country").max(),
        is_private=any_of(nw.col("is_private")),
        first_at=nw.col("first_at").min(),
        last_at=nw.col("last_at").max(),
    )
    return per_ip.with_columns(failure_rate=_rate("failures", of="attempts"))


@computes(USER_ACTIVITY)
def user_activity(pairs: Pairs) -> Rows:
    """Return the attempts per user and window."""
    per_user = pairs.group_by("window_at", "username").agg(
        **_sums("attempts", "successes", "failures", "probes", "lockouts"),
        ips=_distinct("src_ip", where="attempts"),
        countries=_distinct("country", where="attempts"),
        apps=_distinct("app", where="attempts"),
        last_success_at=nw.col("last_success_at").max(),
        last_failure_at=nw.col("last_failure_at").max(),
    )
    return per_user.with_columns(failure_rate=_rate("failures", of="attempts"))


@computes(APP_ACTIVITY)
def app_activity(pairs: Pairs) -> Rows:
    """Return the attempts per app and window."""
    per_app = pairs.group_by("window_at", "app").agg(
        **_sums("attempts", "successes", "failures", "probes", "mfa_successes"),
        active_users=_distinct("username", where="successes"),
        active_ips=_distinct("src_ip", where="successes"),
    )
    return per_app.with_columns(mfa_rate=_rate("mfa_successes", of="successes"))


@computes(COUNTRY_ACTIVITY)
def country_activity(pairs: Pairs) -> Rows:
    """Return the attempts per country and window."""
    return pairs.group_by("window_at", "country").agg(
        **_sums("attempts", "successes", "failures", "probes"),
        users=_distinct("username", where="attempts"),
        ips=_distinct("src_ip", where="attempts"),
    )


@computes(FAILURES_BY_REASON)
def failure_reasons(pairs: Pairs) -> Rows:
    """Return the failures per app, reason and window."""
    by_reason = {reason: nw.col(f"failures_{reason}") for reason in FAILURE_REASONS}
    without_reason = nw.col("failures") - nw.sum_horizontal(*by_reason.values())
    failed = pairs.filter(nw.col("failures") > 0).select(
        "window_at", "app", "username", "src_ip", **by_reason, **{WITHOUT_REASON: without_reason}
    )
    per_pair_and_reason = failed.unpivot(
        on=[*by_reason, WITHOUT_REASON],
        index=["window_at", "app", "username", "src_ip"],
        variable_name="reason",
        value_name="failures",
    ).filter(nw.col("failures") > 0)
    return (
        per_pair_and_reason.group_by("window_at", "app", "reason")
        .agg(**_sums("failures"), users=nw.col("username").n_unique(), ips=nw.col("src_ip").n_unique())
        .with_columns(reason=nw.when(nw.col("reason") != WITHOUT_REASON).then(nw.col("reason")))
    )


@computes(ACTIVE_USERS)
def active_users(pairs: Pairs) -> Rows:
    """Return the users with a success per window, by when they had one before."""
    per_user = (
        pairs.filter(nw.col("successes") > 0)
        .group_by("window_at", "username")
        .agg(first_at=nw.col("hour_at").min(), last_at=nw.col("hour_at").max())
        .with_columns(before_at=nw.col("last_at").shift(1).over("username", order_by="window_at"))
    )
    is_new = nw.col("before_at").is_null()
    was_away = ~is_new & (nw.col("before_at").dt.offset_by(AWAY) <= nw.col("first_at"))
    return per_user.group_by("window_at").agg(
        active=nw.len(),
        new=_count(is_new),
        returning=_count(~is_new & ~was_away),
        reactivated=_count(was_away),
    )


@computes(HOUR_OF_WEEK)
def hour_of_week(pairs: Pairs) -> Rows:
    """Return the attempts per user and hour of the week, in the weeks before each window that has any event."""
    measures = _sums("attempts", "successes", "failures")
    per_hour = (
        pairs.filter(nw.col("attempts") > 0)
        .with_columns(weekday=days_since_monday(nw.col("hour_at")) + 1, hour=nw.col("hour_at").dt.hour())
        .group_by("window_at", "username", "weekday", "hour")
        .agg(**measures)
    )
    # An hour is in the baseline of the windows that start so many weeks after its own.
    later = [
        per_hour.with_columns(window_at=nw.col("window_at").dt.offset_by(f"{7 * weeks}d"))
        for weeks in range(1, BASELINE_WEEKS + 1)
    ]
    windows = pairs.select("window_at").unique()
    baselines = nw.concat(later).join(windows, on="window_at", how="semi")
    return baselines.group_by("window_at", "username", "weekday", "hour").agg(**measures)


def _sums(*measures: str) -> dict[str, nw.Expr]:
    return {measure: nw.col(measure).sum() for measure in measures}


def _count(mask: nw.Expr) -> nw.Expr:
    """Return for how many rows the mask is true; null counts as false."""
    return nw.when(mask).then(nw.lit(1)).otherwise(nw.lit(0)).sum()


def _distinct(column: str, *, where: str) -> nw.Expr:
    """Return the distinct values, null being one, over the rows in which the measure `where` is above zero.

    All other rows share one extra value, which is subtracted if there are such rows.
    """
    is_included = nw.col(where) > 0
    folded = nw.when(~is_included).then(nw.lit("-")).when(nw.col(column).is_null()).then(nw.lit("0"))
    values = folded.otherwise(nw.concat_str(nw.lit("+"), nw.col(column)))
    extra = nw.when(is_included).then(nw.lit(0)).otherwise(nw.lit(1)).max()
    return values.n_unique() - extra


def _rate(part: str, *, of: str) -> nw.Expr:
    """Return a fraction; null if the whole is zero."""
    whole = nw.col(of)
    return nw.when(whole > 0).then(nw.col(part) / whole)
