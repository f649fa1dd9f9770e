"""The rule password_spray_distributed: guesses at many users of an app from several addresses."""

from __future__ import annotations

from typing import Annotated

import polars as pl
from msgspec import Meta

from gold.rules.measures import OCCURRENCES, distinct
from gold.rules.model import Contexts, Rule
from gold.rules.signals import GUESSES, SUCCESSES
from gold.rules.sources import ELASTIC_OKTA
from gold.rules.sprayed_users import sprayed_users
from gold.rules.windows import at_rows, crowded, sliding_counts

IS_GUESS = pl.col("outcome") == "failure"


class PasswordSprayDistributed(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A few wrong passwords for each of many users of one app, from several addresses that share the work.

    A user with more than `guesses_per_user` guesses is attacked in another way: their guesses do not count. The source
    limits the mean, which an attack on a single user raises. `percent` is not from the source: without it, the mistakes
    of the users of any busy app would be an attack.
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
    guesses_per_user: Annotated[int, Meta(ge=1, description="Guesses of each user, at most; others are left out.")]
    users_per_ip: Annotated[float, Meta(ge=0, description="Users divided by addresses, at least.")]
    percent: Annotated[float, Meta(ge=0, le=100, description="Percentage of the guesses in all logins, at least.")]

    @property
    def min_occurrences(self) -> int:
        """The fewest guesses with which the rule can fire."""
        return self.guesses

    def find(self, events: Contexts) -> pl.Series:
        """Return whether an event is a guess with which the window meets all thresholds."""
        successes = events.with_columns(successes=pl.when(IS_GUESS).then(0).otherwise("times"))
        counted = events.with_columns(successes=sliding_counts(successes, window=self.window, of="successes"))
        guesses = crowded(counted.with_row_index("row").filter(IS_GUESS), window=self.window, at_least=self.guesses)
        sprayed = sprayed_users(guesses, limit=self.guesses_per_user, window=self.window)
        is_spray = (
            (sprayed["guesses"] >= self.guesses)
            & (sprayed["users"] >= self.users)
            & (sprayed["ips"] >= self.ips)
            & (sprayed["users"] >= self.users_per_ip * sprayed["ips"])
            & (100 * sprayed["guesses"] >= self.percent * (sprayed["guesses"] + guesses["successes"]))
        )
        return at_rows(guesses["row"].filter(is_spray), of=events)
