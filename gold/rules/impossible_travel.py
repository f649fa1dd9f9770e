"""The rule impossible_travel: a user logs in from two places that are too far apart for the time between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Annotated

from msgspec import Meta

from gold.rules.countries import CountryRule, distance_km, positions
from gold.rules.model import Event
from gold.rules.sources import CROWDSEC, PANTHER

HOUR = timedelta(hours=1)


class ImpossibleTravel(CountryRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user logs in from two countries in succession, faster than anyone can travel between them.

    A login counts as one from the capital of its country. Countries less than `km` apart are never reported, nor is
    an address without a country, such as a private one.
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
    def min_occurrences(self) -> int:
        """The fewest successes with which the rule can fire."""
        return 2

    def find(self, events: Sequence[Event]) -> Iterator[Event]:
        """Yield the successes that are too far from the one before, and less than a window after it."""
        for before, event in pairwise(event for event in events if event.country in positions()):
            if event.at - before.at < self.window and self.is_impossible(before, event):
                yield event

    def is_impossible(self, before: Event, event: Event) -> bool:
        """Return whether nobody can travel from one login to the next; both have a country with a position."""
        if event.country == before.country:
            return False
        km = distance_km(positions()[str(before.country)], positions()[str(event.country)])
        return km > self.km and km > self.km_per_hour * ((event.at - before.at) / HOUR)
