"""Address blocks of users and attackers, as the regional internet registries assigned them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network
from math import asin, cos, radians, sin, sqrt
from random import Random

EARTH_RADIUS_KM = 6371.0


@dataclass(frozen=True)
class Country:
    """A country that users live in.

    Attributes:
        code: ISO 3166-1 alpha-2.
        utc_offset_hours: Whole hours that local time is ahead of UTC.
        latitude: Latitude of the centre, in degrees.
        longitude: Longitude of the centre, in degrees.
        blocks: Address blocks registered there for homes and offices.
    """

    code: str
    utc_offset_hours: int
    latitude: float
    longitude: float
    blocks: tuple[str, ...]


# From the registries' delegation files; a test looks up the country of each block with iptocc.
COUNTRIES = (
    Country("DE", 1, 51.2, 10.4, ("84.128.0.0/16", "91.0.0.0/16", "217.224.0.0/16")),
    Country("FR", 1, 46.2, 2.2, ("82.64.0.0/16", "86.192.0.0/16", "90.0.0.0/16")),
    Country("GB", 0, 55.4, -3.4, ("81.96.0.0/16", "86.128.0.0/16")),
    Country("NL", 1, 52.1, 5.3, ("77.160.0.0/16", "80.56.0.0/16")),
    Country("US", -6, 37.1, -95.7, ("24.16.0.0/16", "73.32.0.0/16", "98.192.0.0/16")),
    Country("CA", -5, 56.1, -106.3, ("24.64.0.0/16", "70.24.0.0/16")),
    Country("BR", -3, -14.2, -51.9, ("177.32.0.0/16", "189.0.0.0/16")),
    Country("IN", 5, 20.6, 79.0, ("49.32.0.0/16", "117.192.0.0/16", "122.160.0.0/16")),
    Country("JP", 9, 36.2, 138.3, ("126.0.0.0/16", "133.32.0.0/16", "210.128.0.0/16")),
    Country("AU", 10, -25.3, 133.8, ("1.128.0.0/16", "101.160.0.0/16")),
    Country("SG", 8, 1.4, 103.8, ("116.86.0.0/16",)),
    Country("ZA", 2, -30.6, 22.9, ("41.0.0.0/16", "105.184.0.0/16", "196.25.0.0/16")),
)

# No user has an address in these blocks, so every event from them belongs to an attack.
ATTACKER_BLOCKS = {
    "CN": ("61.177.0.0/16", "218.92.0.0/16", "222.186.0.0/16"),
    "DE": ("46.4.0.0/16",),
    "FR": ("51.15.0.0/16",),
    "KR": ("175.192.0.0/16", "211.32.0.0/16"),
    "NL": ("94.102.48.0/20",),
    "RU": ("95.24.0.0/16", "176.14.0.0/16"),
    "US": ("104.131.0.0/16",),
    "VN": ("14.160.0.0/16", "113.160.0.0/16"),
}
ATTACKER_COUNTRIES = tuple(ATTACKER_BLOCKS)
OFFICE_BLOCK = "10.0.0.0/8"


def random_address(rng: Random, block: str) -> str:
    """Return a random address of the block, except the first and the last one."""
    network = _network(block)
    return str(network[rng.randrange(1, network.num_addresses - 1)])


def random_attacker_address(rng: Random) -> str:
    """Return a random address that no user has."""
    return random_address(rng, rng.choice(ATTACKER_BLOCKS[rng.choice(ATTACKER_COUNTRIES)]))


def distance_km(here: Country, there: Country) -> float:
    """Return the great-circle distance between the centres of two countries (haversine formula)."""
    north = radians(there.latitude - here.latitude)
    east = radians(there.longitude - here.longitude)
    angle = sin(north / 2) ** 2 + cos(radians(here.latitude)) * cos(radians(there.latitude)) * sin(east / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(sqrt(angle))


@lru_cache(maxsize=256)
def _network(block: str) -> IPv4Network:
    return IPv4Network(block)
