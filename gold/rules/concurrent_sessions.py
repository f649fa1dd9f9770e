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
from gold.rules.windows import at_rows, crowded, regrouped, sliding_values


class ConcurrentSessions(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One user starts several sessions of an app within a short time.

    Only sessions of the same app are counted together, because the source counts those of a single sign-on: a user of
    several apps has a session in each of them. The severity is low: a login that replaces a session counts, too.
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
    # The successes of the apps in which the rule fired.
    is_evidence = pl.col("is_hit").any().over("chain", "app")
    sources = (f"{ELASTIC_OKTA}/lateral_movement_multiple_sessions_for_single_user.toml",)
    false_alarms = "A user who logs in again and again, or on several devices; an account that a program uses."

    sessions: Annotated[int, Meta(ge=2, description="Sessions of one app within the window, at least.")]

    @property
    def min_occurrences(self) -> int:
        """The fewest successes with which the rule can fire."""
        return self.sessions

    def find(self, events: Contexts) -> pl.Series:
        """Return whether the window has enough sessions of the event's app."""
        of_apps = crowded(regrouped(events, "app"), window=self.window, at_least=self.sessions)
        sessions = sliding_values(of_apps, pl.col("session_id"), window=self.window)
        return at_rows(of_apps["row"].filter(sessions >= self.sessions), of=events)
