"""The rule distributed_brute_force_user: guesses at one user from many addresses."""

from __future__ import annotations

from typing import Annotated

import polars as pl
from msgspec import Meta

from gold.rules.measures import OCCURRENCES, distinct
from gold.rules.model import Contexts, Rule
from gold.rules.signals import GUESSES
from gold.rules.sources import ELASTIC_OKTA
from gold.rules.windows import sliding_counts, sliding_values


class DistributedBruteForceUser(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Many wrong passwords for one user from several addresses, in different countries or in a large number."""

    name = "distributed_brute_force_user"
    entity = "username"
    select = GUESSES
    differs_in = ("src_ip",)
    measures = (
        OCCURRENCES.alias("failures"),
        distinct("src_ip").alias("ips"),
        distinct("country").alias("countries"),
    )
    sources = (f"{ELASTIC_OKTA}/credential_access_okta_brute_force_multi_source.toml",)
    false_alarms = "A user whose old password is stored on several devices, some of them abroad or behind a VPN."

    guesses: Annotated[int, Meta(ge=1, description="Guesses within the window, at least.")]
    ips: Annotated[int, Meta(ge=2, description="Addresses within the window, at least.")]
    countries: Annotated[int, Meta(ge=1, description="Countries within the window, at least; or `many_ips`.")]
    many_ips: Annotated[int, Meta(ge=1, description="This many addresses suffice, whatever their countries.")]

    @property
    def min_occurrences(self) -> int:
        """The fewest guesses with which the rule can fire."""
        return self.guesses

    def find(self, events: Contexts) -> pl.Series:
        """Return whether the window has enough guesses, addresses and countries."""
        guesses = sliding_counts(events, window=self.window)
        ips, countries = (
            sliding_values(events, pl.col(column), window=self.window) for column in ("src_ip", "country")
        )
        is_spread = (countries >= self.countries) | (ips >= self.many_ips)
        return (guesses >= self.guesses) & (ips >= self.ips) & is_spread
