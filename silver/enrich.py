"""Enrichment of addresses and user agents: pure functions of one value, with data from installed packages."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import version
from ipaddress import ip_address
from typing import NamedTuple

# A longer user agent is cut before it is parsed: the names of the families are at its start.
AGENT_CHARACTERS = 1_000


class Address(NamedTuple):
    """The enrichment of an address; both are null without one."""

    country: str | None
    is_private: bool | None


class Agent(NamedTuple):
    """The enrichment of a user agent; a family is null if it is unknown."""

    family: str | None
    os_family: str | None
    is_bot: bool | None


NO_ADDRESS = Address(None, None)
NO_AGENT = Agent(None, None, None)


@lru_cache(maxsize=1 << 17)
def address_of(src_ip: str | None) -> Address:
    """Return the country in which the address is registered, and whether it is private.

    The country is from iptocc, which packs the files of the regional registries. An address is private if the IANA
    registries do not list it as globally reachable.
    """
    if src_ip is None:
        return NO_ADDRESS
    import iptocc

    return Address(iptocc.country_code(src_ip), not ip_address(src_ip).is_global)


def agent_of(user_agent: str | None) -> Agent:
    """Return the families of client and operating system, by the regular expressions of uap-core."""
    return NO_AGENT if user_agent is None else _parsed(user_agent[:AGENT_CHARACTERS])


def enrichment_versions() -> dict[str, str]:
    """Return the versions of the enrichment data, by distribution."""
    return {name: version(name) for name in ("iptocc", "ua-parser-builtins")}


@lru_cache(maxsize=1 << 14)
def _parsed(user_agent: str) -> Agent:
    import ua_parser

    found = ua_parser.parse(user_agent)
    return Agent(
        found.user_agent.family if found.user_agent else None,
        found.os.family if found.os else None,
        found.device is not None and found.device.family == "Spider",
    )
