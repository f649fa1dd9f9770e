"""What the rules over guesses from one address share: how many users, how many guesses, how many per user."""

from __future__ import annotations

from typing import Annotated

import polars as pl
from msgspec import Meta

from gold.rules.measures import OCCURRENCES, distinct
from gold.rules.model import Contexts, Rule
from gold.rules.signals import GUESSES
from gold.rules.windows import sliding_counts, sliding_values


class GuessRule(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule over the guesses from one address, in a sliding window."""

    entity = "src_ip"
    select = GUESSES
    differs_in = ("username",)
    measures = (
        OCCURRENCES.alias("failures"),
        distinct("username").alias("users"),
    )

    users: Annotated[int, Meta(ge=2, description="Different users within the window, at least.")]
    guesses: Annotated[int, Meta(ge=2, description="Guesses within the window, at least.")]
    guesses_per_user: Annotated[int, Meta(ge=1, description="Guesses of each user within the window, at most.")]

    @property
    def min_occurrences(self) -> int:
        """The fewest guesses with which the rule can fire."""
        return max(self.guesses, self.users)

    def find(self, events: Contexts) -> pl.Series:
        """Return whether the window has enough users and guesses, and few guesses of each user."""
        is_frequent = sliding_counts(events, window=self.window) >= self.guesses
        too_often = self.users_with(events, at_least=self.guesses_per_user + 1)
        return is_frequent & (self.users_with(events) >= self.users) & (too_often == 0)

    def users_with(self, events: Contexts, *, at_least: int = 1, at_most: int | None = None) -> pl.Series:
        """Return for each guess how many users have so many guesses in the window that ends with it."""
        return sliding_values(events, pl.col("username"), window=self.window, at_least=at_least, at_most=at_most)
