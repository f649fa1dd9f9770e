"""The source of a login: an address in canonical form, or a host name."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

# A longer text is neither, and must not fill the cache: a host name has at most 253 characters (RFC 1035).
MOST_CHARACTERS = 253
# Labels of letters, digits, - and _; the last has a letter, so that 1.2.3 and 010.0.0.1 are not names (RFC 3696, 2).
HOST_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*(?=[0-9_-]*[a-z])[a-z0-9_-]{1,63}\.?", re.ASCII | re.IGNORECASE)


# An address or a name with a port: `192.0.2.1:52000`, `[2001:db8::1]:443`, `gate.example.org:22`.
WITH_PORT = re.compile(r"(?:\[(?P<v6>[^\]\s]+)\]|(?P<name>[^:\[\]\s]+)):(?P<port>\d{1,5})", re.ASCII)
# What applications write instead of an address: `-`, `N/A`, or the name of a service such as `AWS Internal`.
NO_ADDRESS = re.compile(r"-+|(?=[^a-z]*[a-z])[a-z0-9 ._/()&-]{1,128}", re.ASCII | re.IGNORECASE)
LARGEST_PORT = 65_535


class Source(NamedTuple):
    """A source; at most one of address and host name is given."""

    ip: str | None
    host: str | None


class GivenSource(NamedTuple):
    """A source as an application gave it.

    Attributes:
        source: The address or host name; none if the text stands for no address.
        port: The port that the text names.
        is_placeholder: True if the text stands for no address, such as `N/A`.
    """

    source: Source
    port: int | None = None
    is_placeholder: bool = False


NO_SOURCE = Source(None, None)


def given_source(text: str | None) -> GivenSource | None:
    """Return the source that a field of an application names, with a port or a placeholder; None for other texts."""
    source = source_of(text)
    if source is not None:
        return GivenSource(source)
    found = WITH_PORT.fullmatch(text or "")
    if found is not None:
        source, port = source_of(found["v6"] or found["name"]), int(found["port"])
        return GivenSource(source, port) if source is not None and port <= LARGEST_PORT else None
    return GivenSource(NO_SOURCE, is_placeholder=True) if NO_ADDRESS.fullmatch(text or "") else None


def source_of(text: str | None) -> Source | None:
    """Return the source in a text: `NO_SOURCE` if it is empty, None if it is neither an address nor a host name."""
    if not text:
        return NO_SOURCE
    if len(text) > MOST_CHARACTERS:
        return None
    return _address_or_name(text)


@lru_cache(maxsize=1 << 17)
def _address_or_name(text: str) -> Source | None:
    try:
        return Source(canonical_address(text), None)
    except ValueError:
        return Source(None, text) if HOST_NAME.fullmatch(text) else None


def canonical_address(text: str) -> str:
    """Return an IP address in canonical form: IPv4-mapped IPv6 as IPv4, and without a zone, which is local to a host.

    Raises:
        ValueError: The text is not an IP address.
    """
    address = ip_address(text.partition("%")[0] if ":" in text else text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)
