"""The table first_seen: when each user first logged in with an address, from a country, with a client, to an app."""

from __future__ import annotations

from typing import Any, TypeAlias

import narwhals.stable.v2 as nw

from gold.transforms.base import is_accepted
from gold.transforms.declared import with_declared_types
from lakehouse.tables.gold import FIRST_SEEN

# The kinds of values, each with the column of silver.events that has them.
KINDS = {"src_ip": "src_ip", "country": "country", "agent": "agent_family", "app": "app"}
# Change types of a change feed: rows that silver did not have, and rows that it has no more.
ADDED, REMOVED = ("insert", "update_postimage"), ("delete", "update_preimage")
KEY = FIRST_SEEN.key

# Rows of silver.events with any verdict, as a native frame of Spark or polars.
Events: TypeAlias = Any
# Rows with the columns of `KEY` and `event_at`: one per successful login and kind.
Values: TypeAlias = nw.LazyFrame[Any]


def is_seen() -> nw.Expr:
    """Return the mask of the silver rows that make values known: accepted, successful logins.

    A failed login does not: an attacker who guesses from an address would make it known before the guess is right.
    """
    return is_accepted() & (nw.col("action") == "login") & (nw.col("outcome") == "success")


def first_seen(events: Events) -> Any:
    """Return the rows of gold.first_seen, as a lazy frame of the same engine; null is a value of its own."""
    return as_rows(_values(events).group_by(*KEY).agg(first_at=nw.col("event_at").min()))


def as_rows(firsts: nw.LazyFrame[Any]) -> Any:
    """Return rows of gold.first_seen from rows with the columns of `KEY` and `first_at`."""
    return with_declared_types(firsts.with_columns(first_on=nw.col("first_at").dt.date()), FIRST_SEEN.columns)


def updated_values(feed: Events, published: Any) -> Any:
    """Return values with their first logins before and after the changes of a feed.

    Args:
        feed: Rows of silver.events with `_change_type`.
        published: Rows of gold.first_seen without these changes: at least those of the values in the feed.

    Returns:
        A lazy frame of the same engine, one row per value in either, with the columns of `KEY` and `old_at`, the
        published `first_at`; `first_at`, the new one; `is_lost`, true if the first login may be among the removed ones,
        so that only the events can tell the new `first_at`.
    """
    change = nw.col("_change_type")
    nothing = nw.lit(None).cast(nw.Datetime("us", "UTC"))
    values = _values(feed, "_change_type").select(
        *KEY,
        old_at=nothing,
        added_at=nw.when(change.is_in(ADDED)).then(nw.col("event_at")),
        removed_at=nw.when(change.is_in(REMOVED)).then(nw.col("event_at")),
    )
    known = nw.from_native(published).lazy().select(*KEY, old_at="first_at", added_at=nothing, removed_at=nothing)
    # Grouped and not joined: a join would not find the values that are null.
    instants = {name: nw.col(name).min() for name in ("old_at", "added_at", "removed_at")}
    both = nw.concat([values, known]).group_by(*KEY).agg(**instants)
    first_at = nw.min_horizontal("old_at", "added_at")
    # A row may have been added and removed since the rows were published.
    is_lost = nw.when(nw.col("removed_at") <= first_at).then(nw.lit(value=True)).otherwise(nw.lit(value=False))
    return both.select(*KEY, "old_at", first_at=first_at, is_lost=is_lost).to_native()


def _values(events: Events, *kept: str) -> Values:
    columns = {kind: nw.col(column) for kind, column in KINDS.items()}
    seen = nw.from_native(events).lazy().filter(is_seen()).select("username", "event_at", *kept, **columns)
    values: Values = seen.unpivot(
        on=list(KINDS), index=["username", "event_at", *kept], variable_name="kind", value_name="value"
    )
    return values
