"""The rule several_countries: a user logs in from several countries within minutes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Annotated

import narwhals.stable.v2 as nw
from msgspec import Meta

from gold.rules.model import Event, Rule
from gold.rules.sources import ELASTIC_OKTA
from gold.rules.windows import sliding_tallies


class SeveralCountries(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One user logs in from several countries within a short time.

    An address without a country, such as a private one, does not count.
    """

    name = "several_countries"
    entity = "username"
    select = (nw.col("action") == "login") & (nw.col("outcome") == "success") & ~nw.col("country").is_null()
    differs_in = "country"
    sources = (f"{ELASTIC_OKTA}/initial_access_okta_user_sessions_started_from_different_geolocations.toml",)
    false_alarms = "A user with a VPN, a proxy or a phone that roams; an account that several persons share."

    countries: Annotated[int, Meta(ge=2, description="Countries within the window, at least.")]

    @property
    def min_occurrences(self) -> int:
        """The fewest successes with which the rule can fire."""
        return self.countries

    def find(self, events: Sequence[Event]) -> Iterator[Event]:
        """Yield the successes with which the window has enough countries."""
        tallies = sliding_tallies(events, window=self.window, value=attrgetter("country"))
        for event, countries in zip(events, tallies, strict=True):
            if len(countries) >= self.countries:
                yield event

    def measures(self, evidence: Sequence[Event]) -> dict[str, int]:
        """Return the successes, the distinct countries and the distinct addresses of the evidence."""
        return {
            "successes": sum(event.times for event in evidence),
            "countries": len({event.country for event in evidence}),
            "ips": len({event.src_ip for event in evidence} - {None}),
        }
