"""The rule impossible_travel: a user logs in from two places that are too far apart for the time between."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import polars as pl
from msgspec import Meta

from gold.rules.countries import CountryRule, distance_km, positions
from gold.rules.model import HOUR, Contexts
from gold.rules.sources import CROWDSEC, PANTHER
from gold.rules.windows import MICROSECOND, at_rows


class ImpossibleTravel(CountryRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user logs in from two countries in succession, faster than anyone can travel between them.

    A login counts as one from the capital of its country. Countries less than `km` apart are never reported, nor is
    an address without a country, such as a private one. Hits of a day less than eight hours apart are one detection: a
    user between two places has one detection a day, since a day has a night.
    """

    name = "impossible_travel"
    sources = (f"{PANTHER}/impossible_travel_login.py", f"{CROWDSEC}/impossible-travel.yaml")
    false_alarms = (
        "A user with a VPN, a proxy or a phone that roams; a short trip between countries with capitals far apart; an "
        "account that several persons share."
    )

    km_per_hour: Annotated[float, Meta(gt=0, description="The speed is greater than this.")]
    km: Annotated[float, Meta(ge=0, description="The distance is greater than this.")]

    @property
    def gap(self) -> timedelta:
        """Hits that are less than this apart belong to one detection."""
        return timedelta(hours=8)

    @property
    def min_occurrences(self) -> int:
        """The fewest successes with which the rule can fire."""
        return 2

    def find(self, events: Contexts) -> pl.Series:
        """Return whether a login is too far from the one before, and less than a window after it."""
        moves = (
            events.select("context", "clock", "country")
            .with_row_index("row")
            .filter(pl.col("country").is_in(list(positions())))
            .with_columns(pl.col("context", "country").shift(1).name.suffix("_before"), elapsed=pl.col("clock").diff())
            .filter(
                pl.col("context") == pl.col("context_before"),
                pl.col("country") != pl.col("country_before"),
                pl.col("elapsed") < self.window // MICROSECOND,
            )
            .select("row", "country_before", "country", "elapsed")
        )
        rows = [row for row, *ends, elapsed in moves.iter_rows() if self.is_impossible(*ends, elapsed=elapsed)]
        return at_rows(pl.Series(rows, dtype=pl.UInt32), of=events)

    def is_impossible(self, before: str, country: str, *, elapsed: int) -> bool:
        """Return whether nobody can travel from one country to another in so many microseconds."""
        km = distance_km(positions()[before], positions()[country])
        return km > self.km and km > self.km_per_hour * (elapsed / (HOUR // MICROSECOND))
