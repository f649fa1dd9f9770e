"""The rule several_countries: a user logs in from several countries within minutes."""

from __future__ import annotations

from typing import Annotated

import polars as pl
from msgspec import Meta

from gold.rules.countries import CountryRule
from gold.rules.model import Contexts
from gold.rules.sources import ELASTIC_OKTA
from gold.rules.windows import sliding_values


class SeveralCountries(CountryRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One user logs in from several countries within a short time.

    An address without a country, such as a private one, does not count.
    """

    name = "several_countries"
    sources = (f"{ELASTIC_OKTA}/initial_access_okta_user_sessions_started_from_different_geolocations.toml",)
    false_alarms = "A user with a VPN, a proxy or a phone that roams; an account that several persons share."

    countries: Annotated[int, Meta(ge=2, description="Countries within the window, at least.")]

    @property
    def min_occurrences(self) -> int:
        """The fewest successes with which the rule can fire."""
        return self.countries

    def find(self, events: Contexts) -> pl.Series:
        """Return whether the window has enough countries."""
        return sliding_values(events, pl.col("country"), window=self.window) >= self.countries
