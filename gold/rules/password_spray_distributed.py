"""The rule password_spray_distributed: guesses at many users of an app from several addresses."""

from __future__ import annotations

from typing import Annotated

import polars as pl
from msgspec import Meta

from gold.rules.measures import OCCURRENCES, distinct
from gold.rules.model import Contexts, Rule
from gold.rules.signals import GUESSES, SUCCESSES
from gold.rules.sources import ELASTIC_OKTA
from gold.rules.windows import sliding_counts, sliding_values

IS_GUESS = pl.col("outcome") == "failure"


class PasswordSprayDistributed(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A few wrong passwords for each of many users of one app, from several addresses that share the work.

    `percent` is not from the source: without it, the mistakes of the users of any busy app would be an attack.
    """

    name = "password_spray_distributed"
    entity = "app"
    select = GUESSES | SUCCESSES
    is_counted = IS_GUESS
    differs_in = ("src_ip",)
    measures = (
        OCCURRENCES.alias("failures"),
        distinct("username").alias("users"),
        distinct("src_ip").alias("ips"),
    )
    is_evidence = IS_GUESS
    sources = (f"{ELASTIC_OKTA}/credential_access_okta_password_spray_multi_source.toml",)
    false_alarms = "A server that checks passwords is down; many passwords expire on the same day."

    ips: Annotated[int, Meta(ge=2, description="Addresses with a guess within the window, at least.")]
    users: Annotated[int, Meta(ge=1, description="Users with a guess within the window, at least.")]
    guesses: Annotated[int, Meta(ge=1, description="Guesses within the window, at least.")]
    guesses_per_user: Annotated[float, Meta(gt=0, description="Guesses per user in the mean, at most.")]
    users_per_ip: Annotated[float, Meta(ge=0, description="Users divided by addresses, at least.")]
    percent: Annotated[float, Meta(ge=0, le=100, description="Percentage of the guesses in all logins, at least.")]

    @property
    def min_occurrences(self) -> int:
        """The fewest guesses with which the rule can fire."""
        return self.guesses

    def find(self, events: Contexts) -> pl.Series:
        """Return whether an event is a guess with which the window meets all thresholds."""
        logins = sliding_counts(events, window=self.window)
        marked = events.with_columns(guesses=pl.when(IS_GUESS).then("times").otherwise(0))
        guesses = sliding_counts(marked, window=self.window, of="guesses")
        users, ips = (
            sliding_values(events, pl.when(IS_GUESS).then(column), window=self.window)
            for column in ("username", "src_ip")
        )
        return (
            (events["outcome"] == "failure")
            & (guesses >= self.guesses)
            & (users >= self.users)
            & (ips >= self.ips)
            & (guesses <= self.guesses_per_user * users)
            & (users >= self.users_per_ip * ips)
            & (100 * guesses >= self.percent * logins)
        )
