"""`loginlake diff`."""

from __future__ import annotations

import json

import pytest

from tests.loginlake.command_line import Loginlake


@pytest.fixture
def loginlake(loginlake: Loginlake, two_snapshots: str) -> Loginlake:
    """The command line, on a lake with two snapshots."""
    return loginlake.with_environment(LOGINLAKE_ROOT=two_snapshots)


def test_diff_counts_the_rows_that_changed_in_each_table(loginlake: Loginlake) -> None:
    counts = {row.pop("table"): row for row in json.loads(loginlake("diff", "1", "2", "--json").stdout)}

    assert counts["bronze.raw_logs"] == counts["silver.events"] == {"added": 5, "removed": 0, "changed": 0}
    assert counts["gold.ip_activity"] == {"added": 2, "removed": 0, "changed": 0}
    assert counts["gold.app_activity"] == {"added": 0, "removed": 0, "changed": 1}


def test_diff_shows_old_and_new_values_of_a_changed_row(loginlake: Loginlake) -> None:
    (changed,) = json.loads(loginlake("diff", "1", "2", "app_activity", "--json").stdout)
    (back,) = json.loads(loginlake("diff", "2", "1", "app_activity", "--json").stdout)
    printed = loginlake("diff", "1", "2", "app_activity").stdout

    assert changed["change"] == "changed"
    assert changed["key"] == {"window_at": "2026-03-02T00:00:00Z", "app": "portal"}
    assert (changed["old"]["attempts"], changed["new"]["attempts"]) == (3, 8)
    assert (back["old"], back["new"]) == (changed["new"], changed["old"])
    assert "attempts 3 → 8" in printed


def test_diff_shows_added_and_removed_rows_and_null_keys_are_keys(loginlake: Loginlake) -> None:
    added = json.loads(loginlake("diff", "1", "2", "ip_activity", "--json").stdout)
    removed = json.loads(loginlake("diff", "2", "1", "ip_activity", "--json").stdout)

    assert [(row["change"], row["key"]["src_ip"], row["old"]) for row in added] == [
        ("added", "198.51.100.7", None),
        ("added", None, None),
    ]
    assert {row["change"] for row in removed} == {"removed"}


def test_on_a_terminal_each_change_is_a_line_and_its_values_below_it_uncut(loginlake: Loginlake) -> None:
    printed = loginlake.on_a_terminal(columns=40)("diff", "1", "2", "app_activity").stdout.splitlines()

    assert printed[0] == "changed window_at 2026-03-02, app portal"
    assert printed[1].startswith("  attempts 3 → 8, ")
    assert all(line.startswith("  ") for line in printed[1:])
    assert max(map(len, printed)) <= 40
    assert "…" not in "".join(printed)


def test_diff_of_a_snapshot_with_itself_is_empty(loginlake: Loginlake) -> None:
    assert json.loads(loginlake("diff", "2", "2", "ip_activity", "--json").stdout) == []
    assert loginlake("diff", "2", "2", "ip_activity").stdout == "No rows differ\n"


@pytest.mark.parametrize("name", ["country_activity", "attacks", "gold.attacks"])
def test_what_is_computed_when_it_is_read_is_refused_with_what_can_be_compared(loginlake: Loginlake, name: str) -> None:
    ended = loginlake("diff", "1", "2", name)

    assert ended.returncode == 2
    assert f"{name} is computed when it is read" in ended.stderr
    assert "one of raw_logs, events, pair_activity_hourly, " in ended.stderr
