"""The base and the metrics: one narwhals function each, run by Spark for gold and by polars for serving."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import narwhals.stable.v2 as nw

from lakehouse.tables.gold import APP_ACTIVITY, IP_ACTIVITY, PAIR_ACTIVITY, USER_ACTIVITY
from lakehouse.tables.model import Column, Metric, Window
from lakehouse.tables.silver import FAILURE_REASONS

Frame = nw.LazyFrame[Any]

TRUNCATIONS: dict[Window, str] = {"hour": "1h", "day": "1d"}
COUNTED_ACTIONS = ("login", "probe", "lockout")


def pair_activity_hourly(events: Any) -> Any:
    """The base: one row per app, username, src_ip and hour.

    Args:
        events: Rows of silver.events, any verdict, as a native frame of Spark or polars.

    Returns:
        A frame of the same engine with the columns of gold.pair_activity_hourly.
    """
    counted = (
        nw.from_native(events)
        .lazy()
        .filter(nw.col("verdict") == "accepted", nw.col("action").is_in(COUNTED_ACTIONS))
        .with_columns(window_at=nw.col("event_at").dt.truncate("1h"))
    )
    is_login = nw.col("action") == "login"
    success = is_login & (nw.col("outcome") == "success")
    failure = is_login & (nw.col("outcome") == "failure")
    pairs = counted.group_by("app", "username", "src_ip", "window_at").agg(
        attempts=_times(is_login),
        successes=_times(success),
        failures=_times(failure),
        **{f"failures_{reason}": _times(failure & (nw.col("failure_reason") == reason)) for reason in FAILURE_REASONS},
        probes=_times(nw.col("action") == "probe"),
        lockouts=_times(nw.col("action") == "lockout"),
        mfa_successes=_times(success & nw.col("is_mfa")),
        first_at=nw.col("event_at").min(),
        last_at=nw.col("event_at").max(),
        last_success_at=_instant(success).max(),
        last_failure_at=_instant(failure).max(),
        country=nw.col("country").max(),
        is_private=_any(nw.col("is_private")),
    )
    return _declared(pairs, PAIR_ACTIVITY.columns)


def ip_activity(pairs: Frame) -> Frame:
    """Attempts per source address and window."""
    return pairs.group_by("window_at", "src_ip").agg(
        attempts=nw.col("attempts").sum(),
        successes=nw.col("successes").sum(),
        failures=nw.col("failures").sum(),
        users=_distinct("username", where="attempts"),
        users_failed=_distinct("username", where="failures"),
        apps=_distinct("app", where="attempts"),
        country=nw.col("country").max(),
        is_private=_any(nw.col("is_private")),
        first_at=nw.col("first_at").min(),
        last_at=nw.col("last_at").max(),
    )


def user_activity(pairs: Frame) -> Frame:
    """Attempts per user and window."""
    return pairs.group_by("window_at", "username").agg(
        attempts=nw.col("attempts").sum(),
        successes=nw.col("successes").sum(),
        failures=nw.col("failures").sum(),
        ips=_distinct("src_ip", where="attempts"),
        countries=_distinct("country", where="attempts"),
        apps=_distinct("app", where="attempts"),
        lockouts=nw.col("lockouts").sum(),
        last_success_at=nw.col("last_success_at").max(),
        last_failure_at=nw.col("last_failure_at").max(),
    )


def app_activity(pairs: Frame) -> Frame:
    """Attempts per app and window."""
    per_app = pairs.group_by("window_at", "app").agg(
        attempts=nw.col("attempts").sum(),
        successes=nw.col("successes").sum(),
        failures=nw.col("failures").sum(),
        active_users=_distinct("username", where="successes"),
        active_ips=_distinct("src_ip", where="successes"),
        mfa_successes=nw.col("mfa_successes").sum(),
    )
    return per_app.with_columns(mfa_rate=_rate("mfa_successes", of="successes"))


TRANSFORMS: dict[str, Callable[[Frame], Frame]] = {
    IP_ACTIVITY.name: ip_activity,
    USER_ACTIVITY.name: user_activity,
    APP_ACTIVITY.name: app_activity,
}


def metric_rows(metric: Metric, base: Any, *, every: Window) -> Any:
    """The rows of a metric, computed from the base.

    Args:
        metric: Its declaration.
        base: Rows of gold.pair_activity_hourly, whole windows of them, as a native frame of Spark or polars.
        every: The window to sum up to.

    Returns:
        A lazy frame of the same engine with the columns that the metric declares.
    """
    pairs = nw.from_native(base).lazy().with_columns(window_at=nw.col("window_at").dt.truncate(TRUNCATIONS[every]))
    rows = TRANSFORMS[metric.name](pairs)
    if any(measure.name == "failure_rate" for measure in metric.measures):
        rows = rows.with_columns(failure_rate=_rate("failures", of="attempts"))
    return _declared(rows, metric.columns)


def _declared(rows: Frame, columns: tuple[Column, ...]) -> Any:
    """Exactly the declared columns in the declared types: engines differ in the types of counts."""
    import pyarrow as pa

    schema = nw.Schema.from_arrow(pa.schema([column.arrow_field() for column in columns]))
    dated = rows.with_columns(window_on=nw.col("window_at").dt.date())
    return dated.select(nw.col(name).cast(dtype) for name, dtype in schema.items()).to_native()


def _times(condition: nw.Expr) -> nw.Expr:
    """Occurrences for which the condition holds; a null condition does not."""
    return nw.when(condition).then(nw.col("times")).otherwise(nw.lit(0)).sum()


def _instant(condition: nw.Expr) -> nw.Expr:
    return nw.when(condition).then(nw.col("event_at"))


def _any(claim: nw.Expr) -> nw.Expr:
    """True where a row claims it, null where none knows; written as a maximum, since Spark refuses sums of booleans."""
    return nw.when(claim).then(nw.lit(1)).when(~claim).then(nw.lit(0)).max() == 1


def _distinct(column: str, *, where: str) -> nw.Expr:
    """Distinct values, null being one, over the rows where the measure `where` is above zero.

    The other rows are folded into one value of their own, which is then taken off the count.
    """
    counts = nw.col(where) > 0
    folded = nw.when(~counts).then(nw.lit("-")).when(nw.col(column).is_null()).then(nw.lit("0"))
    values = folded.otherwise(nw.concat_str(nw.lit("+"), nw.col(column)))
    others = nw.when(counts).then(nw.lit(0)).otherwise(nw.lit(1)).max()
    return values.n_unique() - others


def _rate(part: str, *, of: str) -> nw.Expr:
    whole = nw.col(of)
    return nw.when(whole > 0).then(nw.col(part) / whole)
