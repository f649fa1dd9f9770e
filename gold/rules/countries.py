"""What the rules over the countries of a user's logins share, and how far countries are apart."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from math import asin, cos, radians, sin, sqrt
from typing import Annotated, NamedTuple

import narwhals.stable.v2 as nw
import polars as pl
from msgspec import Meta

from gold.rules.addresses import AddressSet
from gold.rules.measures import OCCURRENCES, distinct
from gold.rules.model import Rule
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
    measures = (
        OCCURRENCES.alias("successes"),
        distinct("country").alias("countries"),
        distinct("src_ip").alias("ips"),
    )

    proxies: Annotated[
        AddressSet,
        Meta(
            description="Addresses and CIDR blocks of proxies and VPNs, or a file of them; their logins do not count."
        ),
    ]

    def relevant(self, events: pl.DataFrame) -> pl.DataFrame:
        """Return the logins that are not from a proxy."""
        addresses = events["src_ip"].drop_nulls().unique() if self.proxies else ()
        listed = [address for address in addresses if address in self.proxies]
        return events.filter(~pl.col("src_ip").is_in(listed, nulls_equal=True))


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
