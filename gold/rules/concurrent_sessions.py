"""The rule concurrent_sessions: a user starts several sessions within minutes."""

from __future__ import annotations

from typing import Annotated

import narwhals.stable.v2 as nw
import polars as pl
from msgspec import Meta

from gold.rules.measures import OCCURRENCES, distinct
from gold.rules.model import Contexts, Rule
from gold.rules.signals import SUCCESSES
from gold.rules.sources import ELASTIC_OKTA
from gold.rules.windows import sliding_values


class ConcurrentSessions(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One user starts several sessions within a short time.

    Its severity is low, because the source counts the sessions of a single sign-on: here each app may have its own.
    """

    name = "concurrent_sessions"
    entity = "username"
    select = SUCCESSES & ~nw.col("session_id").is_null()
    differs_in = ("session_id",)
    measures = (
        OCCURRENCES.alias("successes"),
        distinct("session_id").alias("sessions"),
        distinct("src_ip").alias("ips"),
    )
    sources = (f"{ELASTIC_OKTA}/lateral_movement_multiple_sessions_for_single_user.toml",)
    false_alarms = "A user who logs in to several apps or on several devices; an account that a program uses."

    sessions: Annotated[int, Meta(ge=2, description="Sessions within the window, at least.")]

    @property
    def min_occurrences(self) -> int:
        """The fewest successes with which the rule can fire."""
        return self.sessions

    def find(self, events: Contexts) -> pl.Series:
        """Return whether the window has enough sessions."""
        return sliding_values(events, pl.col("session_id"), window=self.window) >= self.sessions
