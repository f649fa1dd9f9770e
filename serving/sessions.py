"""The view `sessions`: when each session began and ended, computed from silver when it is read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import polars as pl

from lakehouse.snapshots import Snapshot
from lakehouse.tables.gold import SESSIONS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from serving.integrity import reading

# A session without an event for so long has ended without a logout.
TIMEOUT = timedelta(days=1)


def sessions(rows: Callable[[Table], pl.LazyFrame], *, snapshot: Snapshot) -> pl.LazyFrame:
    """Return the view `sessions`; whether one is still open is decided at the snapshot's `now`.

    Args:
        rows: Reads the tables of the snapshot.
        snapshot: Its versions are named in errors.

    Raises:
        LakeUnreadable: A file of silver.events is missing or damaged.
    """
    is_login = (pl.col("action") == "login") & (pl.col("outcome") == "success")
    events = rows(EVENTS).filter(
        (pl.col("verdict") == "accepted")
        & pl.col("session_id").is_not_null()
        & (is_login | (pl.col("action") == "logout"))
    )
    by_time = ("event_at", "topic", "partition", "offset")
    grouped = events.group_by("session_id").agg(
        username=pl.col("username").sort_by(*by_time).first(),
        ips=pl.col("src_ip").n_unique().cast(pl.Int64),
        started_at=pl.col("event_at").filter(is_login).min(),
        last_at=pl.col("event_at").max(),
        last_action=pl.col("action").sort_by(*by_time).last(),
    )
    now = pl.lit(snapshot.now, pl.Datetime("us", "UTC"))
    state = (
        pl.when(pl.col("last_action") == "logout")
        .then(pl.lit("logout"))
        .when(pl.col("last_at") + TIMEOUT <= now)
        .then(pl.lit("timeout"))
        .otherwise(pl.lit("open"))
    )
    ended = grouped.with_columns(state=state, started_on=pl.col("started_at").dt.date()).with_columns(
        ended_at=pl.when(pl.col("state") != "open").then("last_at")
    )
    duration = (pl.col("ended_at") - pl.col("started_at")).dt.total_seconds()
    with reading(EVENTS, version=snapshot.versions.get(EVENTS.full_name)):
        return ended.with_columns(duration_seconds=duration).select(SESSIONS.column_names).collect().lazy()
