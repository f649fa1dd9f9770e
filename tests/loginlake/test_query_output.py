"""How the commands that read the lake print rows: columns, formats, and what fits a terminal."""

from __future__ import annotations

import json
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest

from lakehouse.tables.metrics import IP_ACTIVITY
from lakehouse.tables.silver import EVENTS
from tests.loginlake.command_line import Loginlake
from tests.loginlake.test_cli import the_only_line
from tests.serving.lakes import DAY, SmallLake, a_detection, a_login, settings_of


@pytest.fixture
def loginlake(loginlake: Loginlake, two_snapshots: str) -> Loginlake:
    """The command line, on a lake with two snapshots."""
    return loginlake.with_environment(LOGINLAKE_ROOT=two_snapshots)


def test_parquet_output_is_readable(loginlake: Loginlake) -> None:
    written = loginlake("query", "bronze.raw_logs", "--format", "parquet").stdout_bytes

    assert pl.read_parquet(BytesIO(written)).height == 8


def test_a_table_escapes_characters_that_could_control_the_terminal(loginlake: Loginlake) -> None:
    assert "a\\x1b[31m" in loginlake("sql", "select 'a\x1b[31m' as username").stdout


def test_the_history_of_a_table_has_figures_in_columns(loginlake: Loginlake) -> None:
    printed = loginlake.on_a_terminal(columns=80)("history", "events").stdout.splitlines()

    assert printed[0].split() == ["version", "at", "operation", "rows", "files", "mb", "removed_files"]
    assert printed[2].split()[-4:] == ["8", "1", "-", "1"]


def test_json_columns_are_values_in_json(loginlake: Loginlake) -> None:
    (detection,) = json.loads(loginlake("query", "detections", "--json").stdout)
    (snapshot,) = json.loads(loginlake("query", "snapshots", "--where", "id=1", "--json").stdout)

    assert (detection["measures"], detection["evidence"]) == ({"failures": 7}, [["logs", 0, 1]])
    assert snapshot["offsets"] == {"logs": {"0": 3}}


@pytest.mark.parametrize(
    "words",
    [
        ["query", "ip_activity", "--every", "day"],
        ["query", "ip_activity", "--columns", "all"],
        ["query", "events"],
        ["query", "events", "--vertical"],
        ["query", "raw_logs"],
        ["query", "detections"],
        ["query", "snapshots"],
        ["query", "snapshots", "--columns", "all"],
        ["tables"],
        ["history", "events"],
        ["sql", "select * from events"],
    ],
    ids=" ".join,
)
def test_a_table_fits_a_terminal_of_80_columns(loginlake: Loginlake, words: list[str]) -> None:
    printed = loginlake.on_a_terminal(columns=80)(*words)

    assert printed.returncode == 0, printed.stderr
    assert [line for line in printed.stdout.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("words", [["tables"], ["sql", "describe raw_logs"]], ids=" ".join)
def test_a_list_of_long_texts_has_80_columns_also_through_a_pipe(loginlake: Loginlake, words: list[str]) -> None:
    assert max(map(len, loginlake(*words).stdout.splitlines())) == 80


def test_the_time_of_a_snapshot_as_a_table_shows_it_selects_the_snapshot(loginlake: Loginlake, tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    SmallLake(settings).publish([a_login(0)], [], DAY + timedelta(milliseconds=400, microseconds=7))
    loginlake = loginlake.with_environment(LOGINLAKE_ROOT=settings.root).on_a_terminal(columns=80)

    shown = loginlake("query", "snapshots").stdout.splitlines()[2].split()
    assert shown[:3] == ["1", "2026-03-02", "00:00:00.400007"]
    assert loginlake("query", "snapshots", "--as-of", " ".join(shown[1:3])).returncode == 0


def test_a_table_has_the_columns_shown_by_default_and_names_how_to_see_the_others(loginlake: Loginlake) -> None:
    printed = loginlake.on_a_terminal(columns=80)("query", "ip_activity", "--every", "day")

    assert printed.stdout.split("\n")[0].split() == list(IP_ACTIVITY.shown)
    assert "--columns all" in printed.stderr


def test_the_name_of_a_rule_is_whole_at_80_columns(loginlake: Loginlake, tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    rules = ("success_after_attack", "success_after_attack_ip", "credential_stuffing")
    SmallLake(settings).publish(
        [a_login(0)],
        [
            a_detection(rule, rule=rule, fired_at=DAY + timedelta(minutes=5, seconds=7), entity="198.51.100.100")
            for rule in rules
        ],
    )
    loginlake = loginlake.with_environment(LOGINLAKE_ROOT=settings.root).on_a_terminal(columns=80)

    for name in ("attacks", "detections"):
        printed = loginlake("query", name).stdout

        assert {word for word in printed.split() if "_" in word} == {"fired_at", *rules}
        assert max(map(len, printed.splitlines())) <= 80


def test_events_show_why_a_login_failed_or_why_a_record_was_refused(loginlake: Loginlake, tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    refused = dict.fromkeys(("event_id", "action", "outcome", "failure_reason", "username", "src_ip", "app"))
    broken = a_login(1) | refused | {"verdict": "broken", "reason": "not_json", "detail": "it is empty"}
    SmallLake(settings).publish([a_login(0, src_ip="198.51.100.100"), broken], [])
    terminal = loginlake.on_a_terminal(columns=80).with_environment(LOGINLAKE_ROOT=settings.root)

    def header(verdict: str) -> list[str]:
        return terminal("query", "events", "--where", f"verdict={verdict}").stdout.split("\n")[0].split()

    assert header("accepted")[:5] == ["event_at", "username", "src_ip", "outcome", "failure_reason"]
    assert {"reason", "detail"} <= set(header("broken"))


def test_headers_of_a_record_are_readable_in_a_table(loginlake: Loginlake) -> None:
    printed = loginlake("query", "raw_logs", "--limit", "1", "--columns", "headers").stdout

    assert printed.splitlines()[-1].strip() == "format login"


def test_columns_are_chosen_in_any_format(loginlake: Loginlake) -> None:
    words = ("query", "ip_activity", "--columns", "users,src_ip", "--limit", "1")

    assert loginlake(*words).stdout.split("\n")[0].split() == ["users", "src_ip"]
    assert json.loads(loginlake(*words, "--json").stdout) == [{"users": 4, "src_ip": "198.51.100.7"}]


@pytest.mark.parametrize(
    ("named", "names"),
    [
        ("event_id,event_at,appended_at,src_ip,verdict", ["event_id", "event_at", "appended_at", "src_ip", "verdict"]),
        (",".join(EVENTS.shown), list(EVENTS.shown)),
        ("all", list(EVENTS.column_names)),
    ],
    ids=["some", "the default ones", "all"],
)
def test_all_columns_that_are_named_are_printed_however_many_rows_there_are(
    loginlake: Loginlake, named: str, names: list[str]
) -> None:
    printed = loginlake.on_a_terminal(columns=60)("query", "events", "--columns", named, "--limit", "8")

    rows = printed.stdout.split("row ")[1:]
    titles = [[line.split()[0] for line in row.splitlines()[1:] if not line.startswith(" ")] for row in rows]
    assert titles == [names] * 8
    assert printed.stderr == ""


def test_a_piped_table_is_not_shortened(loginlake: Loginlake) -> None:
    printed = loginlake("query", "snapshots", "--columns", "versions", "--limit", "1").stdout

    assert "…" not in printed
    assert "gold.user_activity" in printed


def test_parquet_is_not_printed_on_a_terminal(loginlake: Loginlake) -> None:
    ended = loginlake.on_a_terminal(columns=80)("query", "ip_activity", "--format", "parquet")

    assert "Add > FILE.parquet" in the_only_line(ended, code=2)
    assert ended.stdout == ""


@pytest.mark.parametrize(("option", "lines"), [((), ["rule", "────"]), (("--vertical",), [])])
def test_rows_that_do_not_exist_are_a_table_without_rows(
    loginlake: Loginlake, option: tuple[str, ...], lines: list[str]
) -> None:
    printed = loginlake("query", "detections", "--snapshot", "1", "--columns", "rule", *option)

    assert printed.stdout.splitlines() == lines
    assert printed.stderr == "No rows\n"
