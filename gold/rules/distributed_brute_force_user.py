"""The rule distributed_brute_force_user: guesses at one user from many addresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Annotated

from msgspec import Meta

from gold.rules.model import Event, Rule
from gold.rules.signals import GUESSES
from gold.rules.sources import ELASTIC_OKTA
from gold.rules.windows import sliding_counts, sliding_tallies


class DistributedBruteForceUser(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Many wrong passwords for one user from several addresses, in different countries or in a large number."""

    name = "distributed_brute_force_user"
    entity = "username"
    select = GUESSES
    differs_in = ("src_ip",)
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

    def find(self, events: Sequence[Event]) -> Iterator[Event]:
        """Yield the guesses with which the window has enough guesses, addresses and countries."""
        counts = sliding_counts(events, window=self.window)
        ips = sliding_tallies(events, window=self.window, value=attrgetter("src_ip"))
        countries = sliding_tallies(events, window=self.window, value=attrgetter("country"))
        for event, count, of_ips, of_countries in zip(events, counts, ips, countries, strict=True):
            is_spread = len(of_countries) >= self.countries or len(of_ips) >= self.many_ips
            if count >= self.guesses and len(of_ips) >= self.ips and is_spread:
                yield event

    def measures(self, evidence: Sequence[Event]) -> dict[str, int]:
        """Return the failures, the distinct addresses and the distinct countries of the evidence."""
        return {
            "failures": sum(event.times for event in evidence),
            "ips": len({event.src_ip for event in evidence} - {None}),
            "countries": len({event.country for event in evidence} - {None}),
        }
