"""Every setting is a flag of every command."""

from __future__ import annotations

import pytest

from lakehouse.errors import UsageError
from lakehouse.flags import take_settings_flags


@pytest.mark.parametrize("words", [["--root", "s3://lake"], ["--root=s3://lake"]])
def test_a_flag_that_is_a_setting_moves_to_the_environment(words: list[str]) -> None:
    environment: dict[str, str] = {}

    assert take_settings_flags(["query", *words, "ip_activity"], environment) == ["query", "ip_activity"]
    assert environment == {"LOGINLAKE_ROOT": "s3://lake"}


def test_dashes_of_a_flag_are_underscores_of_the_setting() -> None:
    environment: dict[str, str] = {}
    take_settings_flags(["up", "--refresh-interval-seconds", "15"], environment)

    assert environment == {"LOGINLAKE_REFRESH_INTERVAL_SECONDS": "15"}


def test_a_flag_is_stronger_than_the_environment() -> None:
    environment = {"LOGINLAKE_PORT": "8000"}
    take_settings_flags(["serve", "--port", "9000"], environment)

    assert environment == {"LOGINLAKE_PORT": "9000"}


def test_a_value_may_contain_an_equals_sign() -> None:
    environment: dict[str, str] = {}
    take_settings_flags(["--root=s3://lake?a=b"], environment)

    assert environment == {"LOGINLAKE_ROOT": "s3://lake?a=b"}


def test_all_other_words_stay_in_their_order() -> None:
    words = ["query", "ip_activity", "--limit", "5", "--where=app=portal", "-h"]

    assert take_settings_flags(words, {}) == words


@pytest.mark.parametrize("words", [["--root"], ["--root", "--json"], ["--root", "--"]])
def test_a_flag_without_a_value_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError, match=r"--root has no value\. Give it one: --root VALUE"):
        take_settings_flags(words, {})


def test_after_two_dashes_nothing_is_a_flag() -> None:
    environment: dict[str, str] = {}

    assert take_settings_flags(["sql", "--", "--root", "x"], environment) == ["sql", "--", "--root", "x"]
    assert environment == {}


def test_help_is_handed_on_beside_settings() -> None:
    environment: dict[str, str] = {}

    assert take_settings_flags(["serve", "--root", "x", "--help"], environment) == ["serve", "--help"]
    assert environment == {"LOGINLAKE_ROOT": "x"}


def test_the_version_option_of_query_is_not_the_version_of_loginlake() -> None:
    environment: dict[str, str] = {}
    rest = take_settings_flags(["query", "silver.events", "--version", "3", "--root", "x"], environment)

    assert rest == ["query", "silver.events", "--version", "3"]
    assert environment == {"LOGINLAKE_ROOT": "x"}
