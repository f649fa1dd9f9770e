from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from gold.rules.addresses import AddressSet, read_addresses

ADDRESSES = st.one_of(
    st.sampled_from(["192.0.2.1", "192.0.2.129", "192.0.3.1", "2001:db8::1", "2001:db8:1::1", "::c000:201"]),
    st.ip_addresses().map(str),
)
BLOCKS = st.builds(
    lambda address, bits: str(ip_network(f"{address}/{min(bits, ip_address(address).max_prefixlen)}", strict=False)),
    ADDRESSES,
    st.integers(0, 128),
)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(BLOCKS | ADDRESSES, max_size=6), ADDRESSES)
def test_an_address_is_in_the_set_if_it_is_in_one_of_the_blocks(lines: list[str], address: str) -> None:
    assert (address in AddressSet(lines)) == any(ip_address(address) in ip_network(line) for line in lines)


def test_a_set_without_blocks_is_false_and_has_no_address() -> None:
    assert not AddressSet()
    assert "192.0.2.1" not in AddressSet()
    assert AddressSet(["192.0.2.1"])


def test_a_file_has_one_address_or_block_per_line_and_comments(tmp_path: Path) -> None:
    file = tmp_path / "blocked.txt"
    file.write_text("# a list\n\n192.0.2.1\n198.51.100.0/24  # a network\n2001:db8::/32\n")

    addresses = read_addresses(file)

    assert "192.0.2.1" in addresses
    assert "198.51.100.77" in addresses
    assert "2001:db8::7" in addresses
    assert "192.0.2.2" not in addresses


@pytest.mark.parametrize("line", ["192.0.2", "example.org", "192.0.2.1/24"])
def test_a_line_that_is_not_an_address_is_named_with_its_number(tmp_path: Path, line: str) -> None:
    file = tmp_path / "blocked.txt"
    file.write_text(f"192.0.2.1\n{line}\n")

    with pytest.raises(ValueError, match=rf"blocked.txt, line 2: .*{line}"):
        read_addresses(file)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"blocked.txt can't be read: No such file"):
        read_addresses(tmp_path / "blocked.txt")
