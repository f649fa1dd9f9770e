"""Where a login came from: an address in canonical form, or a host name."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

# Longer texts are neither, and must not fill the cache: a host name has at most 253 characters (RFC 1035).
MOST_CHARACTERS = 253
# Labels of letters, digits, - and _; the last has a letter, so that 1.2.3 and 010.0.0.1 are no names (RFC 3696, 2).
HOST_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*(?=[0-9_-]*[a-z])[a-z0-9_-]{1,63}\.?", re.ASCII | re.IGNORECASE)


class Source(NamedTuple):
    """A source; at most one of the two is given."""

    ip: str | None
    host: str | None


NO_SOURCE = Source(None, None)


def source_of(text: str | None) -> Source | None:
    """The source that a text names, `NO_SOURCE` where it is empty, None where it is neither address nor name."""
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
    """An IP address in canonical form: IPv4-mapped IPv6 as IPv4, without a zone, which means nothing elsewhere.

    Raises:
        ValueError: The text is no address.
    """
    address = ip_address(text.partition("%")[0] if ":" in text else text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)
