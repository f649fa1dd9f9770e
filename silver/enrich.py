"""What an address and an agent tell: country, private or not, client software. Pure, from data that pip installs."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import version
from ipaddress import ip_address
from typing import NamedTuple

# Longer agents are cut before they are parsed: what tells the family stands at the start.
AGENT_CHARACTERS = 1_000


class Address(NamedTuple):
    """What an address tells."""

    country: str | None
    is_private: bool | None


class Agent(NamedTuple):
    """What a user agent tells; families are null where it tells none."""

    family: str | None
    os_family: str | None
    is_bot: bool | None


NO_ADDRESS = Address(None, None)
NO_AGENT = Agent(None, None, None)


@lru_cache(maxsize=1 << 17)
def address_of(src_ip: str | None) -> Address:
    """Country in which the address is registered (by iptocc, from the registries' files), and whether it is private.

    Private is every address that is not reachable from the whole internet, as the IANA registries say.
    """
    if src_ip is None:
        return NO_ADDRESS
    import iptocc

    return Address(iptocc.country_code(src_ip), not ip_address(src_ip).is_global)


def agent_of(user_agent: str | None) -> Agent:
    """Families of client and operating system, by the regular expressions of uap-core."""
    return NO_AGENT if user_agent is None else _parsed(user_agent[:AGENT_CHARACTERS])


def enrichment_versions() -> dict[str, str]:
    """The versions of the data that rows are enriched with, by distribution."""
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
