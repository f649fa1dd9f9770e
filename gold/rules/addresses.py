"""Sets of addresses and CIDR blocks: allow-lists, proxies, blocklists."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address, ip_network
from pathlib import Path


class AddressSet:
    """A set of addresses, given as addresses and CIDR blocks. A look-up takes as long as there are block sizes.

    Raises:
        ValueError: A line is neither an address nor a block, or a block has bits outside its prefix.
    """

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self._blocks: dict[tuple[int, int], set[int]] = {}
        for line in lines:
            block = ip_network(line)
            unused_bits = block.max_prefixlen - block.prefixlen
            self._blocks.setdefault((block.version, unused_bits), set()).add(int(block.network_address) >> unused_bits)

    def __str__(self) -> str:
        """Return how many different blocks the set has; an address is a block."""
        count = sum(map(len, self._blocks.values()))
        return f"{count} block{'' if count == 1 else 's'}"

    def __bool__(self) -> bool:
        """Return whether the set has an address."""
        return bool(self._blocks)

    def __contains__(self, address: str) -> bool:
        """Return whether an address in canonical form is in one of the blocks."""
        if not self._blocks:
            return False
        ip = ip_address(address)
        version, number = ip.version, int(ip)
        return any(
            of_version == version and number >> unused_bits in blocks
            for (of_version, unused_bits), blocks in self._blocks.items()
        )


# Rules ask for each entity; the lists are short tuples.
@lru_cache(maxsize=64)
def address_set(lines: tuple[str, ...]) -> AddressSet:
    """Return the set of some addresses and CIDR blocks."""
    return AddressSet(lines)


def read_addresses(path: Path) -> AddressSet:
    """Return the addresses and CIDR blocks of a file: one per line; the rest of a line after # is a comment.

    Raises:
        ValueError: The file can't be read, or a line is neither an address nor a block.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror}") from error
    addresses = []
    for number, line in enumerate(lines, start=1):
        if entry := line.partition("#")[0].strip():
            try:
                ip_network(entry)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from error
            addresses.append(entry)
    return AddressSet(addresses)
