"""The base: the narwhals function that computes it from silver.events, run by Spark for gold and by polars for serving.

Which events the base and the metrics count is defined here, and what a window is.
"""

from __future__ import annotations

from typing import Any

import narwhals.stable.v2 as nw

from gold.transforms.declared import with_declared_types
from lakehouse.tables.metrics import PAIR_ACTIVITY
from lakehouse.tables.model import Column, Window
from lakehouse.tables.silver import FAILURE_REASONS

TRUNCATIONS: dict[Window, str] = {"hour": "1h", "day": "1d", "month": "1mo"}
COUNTED_ACTIONS = ("login", "probe", "lockout")


def is_accepted() -> nw.Expr:
    """Return the mask of the silver rows that are accepted."""
    return nw.col("verdict") == "accepted"


def is_counted() -> nw.Expr:
    """Return the mask of the silver rows that the base and the metrics count; the only definition of it."""
    return is_accepted() & nw.col("action").is_in(COUNTED_ACTIONS)


def counted_events(events: Any, *, every: Window = "hour") -> Any:
    """Return the rows of silver.events that the metrics count, with `window_at`, the start of their window.

    Args:
        events: Rows of silver.events with any verdict, as a native frame of Spark or polars.
        every: Length of the windows.

    Returns:
        A lazy frame of the same engine.
    """
    counted = nw.from_native(events).lazy().filter(is_counted())
    return counted.with_columns(window_at=window_start(nw.col("event_at"), every)).to_native()


def pair_activity_hourly(events: Any) -> Any:
    """Return the base: one row per app, username, src_ip and hour.

    Args:
        events: Rows of silver.events with any verdict, as a native frame of Spark or polars.

    Returns:
        A lazy frame of the same engine with the columns of gold.pair_activity_hourly.
    """
    is_login = nw.col("action") == "login"
    is_success = is_login & (nw.col("outcome") == "success")
    is_failure = is_login & (nw.col("outcome") == "failure")
    by_reason = {
        f"failures_{reason}": _occurrences(is_failure & (nw.col("failure_reason") == reason))
        for reason in FAILURE_REASONS
    }
    counted = nw.from_native(counted_events(events)).lazy()
    pairs = counted.group_by("app", "username", "src_ip", "window_at").agg(
        attempts=_occurrences(is_login),
        successes=_occurrences(is_success),
        failures=_occurrences(is_failure),
        **by_reason,
        probes=_occurrences(nw.col("action") == "probe"),
        lockouts=_occurrences(nw.col("action") == "lockout"),
        mfa_successes=_occurrences(is_success & nw.col("is_mfa")),
        first_at=nw.col("event_at").min(),
        last_at=nw.col("event_at").max(),
        last_success_at=_event_at(is_success).max(),
        last_failure_at=_event_at(is_failure).max(),
        country=nw.col("country").max(),
        is_private=any_of(nw.col("is_private")),
    )
    return with_windows(pairs, PAIR_ACTIVITY.columns)


def window_start(at: nw.Expr, every: Window) -> nw.Expr:
    """Return the start of the window that an instant lies in, UTC; a week starts on Monday."""
    if every != "week":
        return at.dt.truncate(TRUNCATIONS[every])
    # Spark can't truncate to a week by narwhals.
    day, weekday = at.dt.truncate("1d"), days_since_monday(at)
    start = day
    for days in range(1, 7):
        start = nw.when(weekday == days).then(day.dt.offset_by(f"-{days}d")).otherwise(start)
    return start


def with_windows(rows: nw.LazyFrame[Any], columns: tuple[Column, ...]) -> Any:
    """Return the declared columns of rows that have all of them except `window_on`."""
    return with_declared_types(rows.with_columns(window_on=nw.col("window_at").dt.date()), columns)


def days_since_monday(at: nw.Expr) -> nw.Expr:
    """Return 0 for Monday to 6 for Sunday, UTC; Spark numbers Sunday 0 where polars numbers it 7."""
    return (at.dt.weekday() + 6) % 7


def _occurrences(mask: nw.Expr) -> nw.Expr:
    """Return the occurrences for which the mask is true; null counts as false."""
    return nw.when(mask).then(nw.col("times")).otherwise(nw.lit(0)).sum()


def _event_at(mask: nw.Expr) -> nw.Expr:
    return nw.when(mask).then(nw.col("event_at"))


def any_of(mask: nw.Expr) -> nw.Expr:
    """Return true if any row is true, null if all rows are null; a maximum, because Spark can't sum booleans."""
    return nw.when(mask).then(nw.lit(1)).when(~mask).then(nw.lit(0)).max() == 1
