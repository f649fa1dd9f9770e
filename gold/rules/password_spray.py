"""The rule password_spray: a few guesses at each of several users from one address."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import polars as pl
from msgspec import Meta

from gold.rules.guesses import GuessRule
from gold.rules.model import Contexts
from gold.rules.sources import ELASTIC_OKTA
from gold.rules.windows import MICROSECOND, window_starts


class PasswordSpray(GuessRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A few wrong passwords for each of several users from one address: too few per user to lock an account."""

    name = "password_spray"
    sources = (f"{ELASTIC_OKTA}/credential_access_okta_password_spray_single_source.toml",)
    false_alarms = "An address that many users share, on the day on which many passwords expire or change."

    min_minutes: Annotated[float, Meta(ge=0, description="Minutes from the first to the last guess, at least.")]
    band_from: Annotated[int, Meta(ge=1, description="A sprayed user has this many guesses, at least.")]
    band_to: Annotated[int, Meta(ge=1, description="A sprayed user has this many guesses, at most.")]
    band_percent: Annotated[
        float, Meta(ge=0, le=100, description="Percentage of the users who must be sprayed users, at least.")
    ]

    def find(self, events: Contexts) -> pl.Series:
        """Return whether the window has enough users and guesses, is long enough, and has enough sprayed users."""
        begins_at = events["clock"].gather(window_starts(events, window=self.window))
        is_long = events["clock"] - begins_at >= timedelta(minutes=self.min_minutes) // MICROSECOND
        sprayed = self.users_with(events, at_least=self.band_from, at_most=self.band_to)
        return super().find(events) & is_long & (100 * sprayed >= self.band_percent * self.users_with(events))
