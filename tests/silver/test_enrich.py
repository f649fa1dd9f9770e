"""Enrichment: the country of an address, and the families of a user agent."""

from __future__ import annotations

import pytest

from silver.enrich import AGENT_CHARACTERS, NO_ADDRESS, NO_AGENT, address_of, agent_of, enrichment_versions

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


@pytest.mark.parametrize(
    ("src_ip", "country", "is_private"),
    [
        ("8.8.8.8", "US", False),
        ("2a00:1450::1", "IE", False),
        ("10.0.0.1", None, True),
        ("192.168.1.1", None, True),
        ("100.64.0.1", None, True),
        ("127.0.0.1", None, True),
        ("192.0.2.1", None, True),
        ("0.0.0.0", None, True),  # noqa: S104 (an address in a log)
        ("255.255.255.255", None, True),
        ("fe80::1", None, True),
        ("fd00::1", None, True),
        ("::", None, True),
        ("::1", None, True),
    ],
)
def test_an_address_has_a_country_and_is_private_or_not(src_ip: str, country: str | None, is_private: bool) -> None:
    assert address_of(src_ip) == (country, is_private)


def test_without_an_address_there_is_no_enrichment() -> None:
    assert address_of(None) is NO_ADDRESS


@pytest.mark.parametrize(
    ("user_agent", "families"),
    [
        (FIREFOX, ("Firefox", "Linux", False)),
        (GOOGLEBOT, ("Googlebot", None, True)),
        ("curl/8.5.0", ("curl", None, False)),
        ("\u202e'; DROP TABLE\x00 🦊", (None, None, False)),
    ],
)
def test_a_user_agent_has_families(user_agent: str, families: tuple[str | None, str | None, bool]) -> None:
    assert agent_of(user_agent) == families


def test_without_a_user_agent_there_is_no_enrichment() -> None:
    assert agent_of(None) is NO_AGENT


def test_only_the_first_characters_of_a_user_agent_are_parsed() -> None:
    padding = " " * (AGENT_CHARACTERS - len(FIREFOX))

    assert agent_of(FIREFOX + padding + GOOGLEBOT * 10_000) == agent_of(FIREFOX)
    assert agent_of(" " * AGENT_CHARACTERS + FIREFOX) == (None, None, False)


def test_the_enrichment_data_has_versions() -> None:
    assert sorted(enrichment_versions()) == ["iptocc", "ua-parser-builtins"]
    assert all(version[0].isdigit() for version in enrichment_versions().values())
