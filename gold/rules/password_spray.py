"""The rule password_spray: a few guesses at each of several users from one address."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from msgspec import Meta

from gold.rules.guesses import GuessRule
from gold.rules.model import Event
from gold.rules.sources import ELASTIC_OKTA
from gold.rules.windows import Tally


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

    def is_attack(self, tally: Tally, last: Event) -> bool:
        """Return whether a window meets the thresholds of users and guesses, of its length, and of sprayed users."""
        if not super().is_attack(tally, last) or last.at - tally.first_at < timedelta(minutes=self.min_minutes):
            return False
        sprayed = sum(tally.values_by_count[count] for count in range(self.band_from, self.band_to + 1))
        return 100 * sprayed >= self.band_percent * len(tally)
