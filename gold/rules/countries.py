"""What the rules over the countries of a user's logins share, and how far countries are apart."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from math import asin, cos, radians, sin, sqrt
from typing import Annotated, NamedTuple

import narwhals.stable.v2 as nw
from msgspec import Meta

from gold.rules.addresses import AddressSet
from gold.rules.model import Event, Rule
from gold.rules.signals import SUCCESSES

EARTH_RADIUS_KM = 6371.0


class Position(NamedTuple):
    """A point on the earth, in degrees."""

    latitude: float
    longitude: float


class CountryRule(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule over the countries from which a user logs in; an address without a country is left out."""

    entity = "username"
    select = SUCCESSES & ~nw.col("country").is_null()
    differs_in = ("country",)

    proxies: Annotated[
        AddressSet,
        Meta(
            description="Addresses and CIDR blocks of proxies and VPNs, or a file of them; their logins do not count."
        ),
    ]

    def relevant(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the logins that are not from a proxy."""
        if not self.proxies:
            return events
        return [event for event in events if event.src_ip is None or event.src_ip not in self.proxies]

    def measures(self, evidence: Sequence[Event]) -> dict[str, int]:
        """Return the successes, the distinct countries and the distinct addresses of the evidence."""
        return {
            "successes": sum(event.times for event in evidence),
            "countries": len({event.country for event in evidence}),
            "ips": len({event.src_ip for event in evidence} - {None}),
        }


@lru_cache(maxsize=1)
def positions() -> Mapping[str, Position]:
    """Return the position of each country, by its ISO 3166-1 alpha-2 code."""
    with files("gold.rules").joinpath("country_positions.csv").open(encoding="utf-8") as lines:
        rows = csv.DictReader(line for line in lines if not line.startswith("#"))
        return {row["country"]: Position(float(row["latitude"]), float(row["longitude"])) for row in rows}


def distance_km(here: Position, there: Position) -> float:
    """Return the great-circle distance of two points, by the haversine formula."""
    north, east = radians(there.latitude - here.latitude), radians(there.longitude - here.longitude)
    angle = sin(north / 2) ** 2 + cos(radians(here.latitude)) * cos(radians(there.latitude)) * sin(east / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(sqrt(angle))
