"""The commands that read the lake: tables, history and query; which rows they choose, and their errors."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.loginlake.command_line import Loginlake
from tests.loginlake.test_cli import the_only_line
from tests.serving.lakes import DAY, SmallLake, a_detection, a_login, settings_of


@pytest.fixture
def loginlake(loginlake: Loginlake, two_snapshots: str) -> Loginlake:
    """The command line, on a lake with two snapshots."""
    return loginlake.with_environment(LOGINLAKE_ROOT=two_snapshots)


def test_attempts_per_address_and_day_as_csv(loginlake: Loginlake) -> None:
    lines = loginlake("query", "ip_activity", "--every", "day", "--format", "csv", "--limit", "2").stdout.splitlines()

    assert lines[0].startswith("window_at,window_on,src_ip,attempts,successes,failures")
    assert [line.split(",")[2:4] for line in lines[1:]] == [["198.51.100.7", "4"], ["192.0.2.1", "3"]]


def test_an_earlier_snapshot_returns_its_own_rows(loginlake: Loginlake) -> None:
    by_id = json.loads(loginlake("query", "ip_activity", "--snapshot", "1", "--json").stdout)
    by_instant = json.loads(loginlake("query", "ip_activity", "--as-of", "2026-03-03T00:00:00Z", "--json").stdout)

    assert by_id == by_instant
    assert [row["attempts"] for row in by_id] == [3]


def test_a_note_names_the_snapshot_of_an_instant_and_one_that_followed_within_a_second(
    loginlake: Loginlake, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path)
    lake = SmallLake(settings)
    lake.publish([a_login(0)], [], DAY + timedelta(seconds=5))
    lake.publish([a_login(1)], [], DAY + timedelta(seconds=10, milliseconds=400))
    loginlake = loginlake.with_environment(LOGINLAKE_ROOT=settings.root)

    def note(as_of: str) -> str:
        return loginlake("query", "ip_activity", "--as-of", as_of, "--json").stderr

    first = "This is snapshot 1, published at 2026-03-02T00:00:05Z"
    assert note("2026-03-02T00:00:09Z") == f"{first}\n"
    assert note("2026-03-02T00:00:10Z") == f"{first}; snapshot 2 followed at 2026-03-02T00:00:10.400000Z\n"
    assert note("2026-03-02T00:00:11Z") == "This is snapshot 2, published at 2026-03-02T00:00:10.400000Z\n"
    assert loginlake("query", "ip_activity", "--snapshot", "1", "--json").stderr == ""


def test_the_note_about_an_instant_appears_once_also_with_the_evidence_of_a_detection(loginlake: Loginlake) -> None:
    ended = loginlake("query", "events", "--detection", "d1", "--as-of", "2026-03-04T00:00:00Z", "--json")

    assert ended.returncode == 0
    assert ended.stderr == "This is snapshot 2, published at 2026-03-03T01:00:00Z\n"


def test_a_prompt_answers_all_statements_at_one_snapshot_and_names_it_once(loginlake: Loginlake) -> None:
    with patch("sys.stdin", StringIO("select count(*) as n from events;\n" * 2)):
        ended = loginlake("sql", "--as-of", "2026-03-03T00:30:00Z", "--format", "csv")

    assert (ended.stdout, ended.stderr) == ("n\n3\n" * 2, "This is snapshot 1, published at 2026-03-03T00:00:00Z\n")


def test_a_table_is_filtered_sorted_and_read_at_a_version(loginlake: Loginlake) -> None:
    written = loginlake(
        "query", "events", "--version", "0", "--where", "offset=2", "--where", "offset=0", "--where", "username!=x",
        "--order-by", "-offset", "--format", "ndjson",
    )  # fmt: skip

    assert [json.loads(line)["offset"] for line in written.stdout.splitlines()] == [2, 0]


def test_detections_are_sorted_newest_first_and_filtered_by_time(loginlake: Loginlake, tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    fired = {"b": 1, "c": 3, "a": 2}
    SmallLake(settings).publish(
        [a_login(0)], [a_detection(name, fired_at=DAY + timedelta(hours=hours)) for name, hours in fired.items()]
    )
    loginlake = loginlake.with_environment(LOGINLAKE_ROOT=settings.root)

    def found(*words: str) -> list[str]:
        answer = json.loads(loginlake("query", "detections", *words, "--json").stdout)
        return [row["detection_id"] for row in answer]

    assert found() == ["c", "a", "b"]
    assert found("--from", "2026-03-02T02:00:00Z", "--to", "2026-03-02T03:00:00Z") == ["a"]
    assert found("--order-by", "detection_id", "--to", "2026-03-02T03:00:00Z") == ["a", "b"]


@pytest.mark.parametrize("words", [["events"], ["raw_logs"], ["events", "--version", "1"]])
def test_the_evidence_of_a_detection_is_selected(loginlake: Loginlake, words: list[str]) -> None:
    rows = json.loads(loginlake("query", *words, "--detection", "d1", "--json").stdout)

    assert [(row["topic"], row["partition"], row["offset"]) for row in rows] == [("logs", 0, 1)]


def test_the_events_of_a_detection_are_in_the_order_of_time(loginlake: Loginlake, tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    later = a_login(0, event_at=DAY + timedelta(hours=5))
    detection = a_detection("d1", evidence='[["logs",0,0],["logs",0,1]]')
    SmallLake(settings).publish([later, a_login(1), a_login(2)], [detection])

    rows = json.loads(loginlake("query", "events", "--detection", "d1", "--json", "--root", settings.root).stdout)

    assert [row["offset"] for row in rows] == [1, 0]


def test_events_are_filtered_by_the_time_they_happened(loginlake: Loginlake) -> None:
    later = loginlake("query", "silver.events", "--from", "2026-03-02T05:00:00Z", "--json")

    assert [row["offset"] for row in json.loads(later.stdout)] == [7]


@pytest.fixture
def on_four_days(loginlake: Loginlake, tmp_path: Path) -> Loginlake:
    """The command line, on a lake with an attempt on Sunday 1 March, Monday 2, Sunday 8 and Monday 9 March 2026."""
    settings = settings_of(tmp_path)
    days = (DAY - timedelta(days=1), DAY, DAY + timedelta(days=6, hours=23), DAY + timedelta(days=7))
    SmallLake(settings).publish([a_login(offset, event_at=at) for offset, at in enumerate(days)], [])
    return loginlake.with_environment(LOGINLAKE_ROOT=settings.root)


@pytest.mark.parametrize(
    ("words", "windows"),
    [
        (("--every", "week"), [("2026-03-09", 1), ("2026-03-02", 2), ("2026-02-23", 1)]),
        (("--every", "week", "--from", "2026-03-02", "--to", "2026-03-03"), [("2026-03-02", 2)]),
        (("--every", "week", "--from", "2026-03-03", "--to", "2026-03-09"), []),
        (("--every", "week", "--to", "9999-12-31T23:59:59Z", "--limit", "1"), [("2026-03-09", 1)]),
        (("--every", "month", "--from", "2026-03-01", "--to", "2026-03-01T00:00:01Z"), [("2026-03-01", 4)]),
    ],
)
def test_weeks_and_months_that_start_in_the_period_are_whole(
    on_four_days: Loginlake, words: tuple[str, ...], windows: list[tuple[str, int]]
) -> None:
    found = json.loads(on_four_days("query", "ip_activity", *words, "--json").stdout)

    assert [(row["window_on"], row["attempts"]) for row in found] == windows


def test_active_users_are_new_only_in_the_first_window_of_the_lake(loginlake: Loginlake, tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    events = [
        a_login(offset, event_at=DAY + timedelta(days=day), outcome="success", username=username)
        for offset, (day, username) in enumerate([(0, "a"), (7, "a"), (8, "b")])
    ]
    SmallLake(settings).publish(events, [])
    words = ("active_users", "--every", "week", "--from", "2026-03-09", "--json")

    (week,) = json.loads(loginlake.with_environment(LOGINLAKE_ROOT=settings.root)("query", *words).stdout)

    measures = ("active", "new", "returning", "reactivated")
    assert [week[name] for name in measures] == [2, 1, 1, 0]


def test_a_baseline_is_read_from_the_weeks_before_the_period(loginlake: Loginlake, tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    days = (0, 7, 35)
    SmallLake(settings).publish([a_login(day, event_at=DAY + timedelta(days=day)) for day in days], [])
    there = loginlake.with_environment(LOGINLAKE_ROOT=settings.root)

    weeks = json.loads(there("query", "hour_of_week", "--every", "week", "--from", "2026-04-05", "--json").stdout)
    by_sql = json.loads(
        there("sql", "select * from hour_of_week_week where window_on >= '2026-04-05'", "--json").stdout
    )

    assert [(row["window_on"], row["weekday"], row["hour"], row["failures"]) for row in weeks] == [
        ("2026-04-06", 1, 0, 1)
    ]
    assert by_sql == weeks


def test_a_metric_that_is_not_stored_is_read_by_the_day_unless_every_is_given(loginlake: Loginlake) -> None:
    (row,) = json.loads(loginlake("query", "failure_reasons", "--json").stdout)
    months = json.loads(loginlake("query", "country_activity", "--every", "month", "--json").stdout)

    assert (row["window_at"], row["reason"], row["failures"]) == ("2026-03-02T00:00:00Z", "invalid_credentials", 7)
    assert [(month["window_on"], month["country"], month["attempts"]) for month in months] == [("2026-03-01", None, 8)]


def test_tables_and_history_list_versions(loginlake: Loginlake) -> None:
    tables = json.loads(loginlake("tables", "--json").stdout)
    history = json.loads(loginlake("history", "events", "--json").stdout)

    assert {"table": "silver.events", "version": 1, "grain": "one row per bronze position"} in tables
    assert [commit["version"] for commit in history] == [1, 0]
    assert history[0] | {"at": "", "metrics": {}, "mb": None} == {
        "version": 1, "at": "", "operation": "WRITE", "rows": 8, "files": 1, "mb": None, "removed_files": 1,
        "metrics": {},
    }  # fmt: skip
    assert history[0]["metrics"]["num_added_rows"] == 8


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["query", "nope"], 2, "ip_activity"),
        (["query", "events", "--version", "7"], 1, "from 0 to 1"),
        (["query", "events", "--version", "0", "--snapshot", "1"], 2, "one of --version, --snapshot, --as-of"),
        (["query", "ip_activty"], 2, "Did you mean ip_activity?"),
        (["diff", "1", "2", "evnts"], 2, "Did you mean events?"),
        (["history", "silver.event"], 2, "Did you mean silver.events?"),
        (["query", "events", "--every", "day"], 2, "--every applies to metrics"),
        (["query", "ip_activity", "--every", "year"], 2, "Use one of hour, day, week, month"),
        (["query", "active_users", "--every", "hour"], 2, "Use one of day, week, month"),
        (["query", "ip_activity", "--as-of", "yesterday", "--snapshot", "1"], 2, "Give only one"),
        (["query", "ip_activity", "--from", "tomorow"], 2, "--from: 'tomorow' is not a time. Write a date"),
        (["query", "ip_activity", "--from", "2026-03-02", "--to", "2026-03-01"], 2, "Set --from to an earlier time"),
        (["query", "ip_activity", "--columns", "usres"], 2, "Did you mean users?"),
        (["query", "ip_activity", "--order-by", "nope"], 2, "--order-by: 'nope' is not a sortable column"),
        (["query", "ip_activity", "--version", "0"], 2, "Name its table: gold.ip_activity"),
        (["query", "ip_activity", "--detection", "d1"], 2, "Use it with silver.events"),
        (["query", "detections", "--detection", "d1"], 2, "Use it with silver.events"),
        (["query", "events", "--detection", "d1", "--snapshot", "1"], 1, "Snapshot 1 has no detection 'd1'"),
        (["query", "snapshots", "--from", "-1d"], 2, "gold.snapshots has no time to select by"),
        (["query", "ip_activity", "--where", "src_ip"], 2, "COLUMN=VALUE"),
        (["query", "ip_activity", "--where", "user=x"], 2, "there is no column 'user'. Did you mean users?"),
        (["query", "ip_activity", "--where", "attempts>x"], 2, "--where attempts: 'x' is not an integer"),
        (["query", "ip_activity", "--where", "attempts>"], 2, "has no value"),
        (
            ["query", "detections", "--where", "severity=hgh"],
            2,
            "'hgh' is not a known value. Did you mean high?",
        ),
        (
            ["query", "detections", "--where", "severity>low"],
            2,
            "severity: > needs a column whose values have an order. Use = or !=",
        ),
        (["query", "detections", "--where", "rule!=brute_force"], 2, "Did you mean brute_force_ip?"),
        (["query", "events", "--where", "verdict=brokn"], 2, "Use one of accepted, duplicate, ignored, broken"),
        (["query", "failure_reasons", "--where", "reason=unkown_user"], 2, "Did you mean unknown_user?"),
        (["query", "restatements", "--where", "table_name=ip_activity"], 2, "Did you mean gold.ip_activity?"),
        (["query", "ip_activity", "--where", "src_ip=\udcff"], 2, "not valid UTF-8"),
        (["sql", "select '\udcff'"], 2, "can't be executed"),
        (["query", "ip_activity", "--format", "xml"], 2, "csv"),
        (["query", "events", "--detection", "d1x"], 1, "Use an id of the column detection_id of gold.detections"),
        (["query", "ip_activity", "--json", "--format", "csv"], 2, "--format csv are both given. Give only one"),
        (["tables", "--json", "--format", "table"], 2, "--format table are both given. Give only one"),
        (["query", "ip_activity", "--format", "jsn"], 2, "Did you mean json?"),
        (["query", "ip_activity", "--every", "dy"], 2, "Did you mean day?"),
        (["query", "ip_activity", "--as-of", "2020-01-01T00:00:00Z"], 1, "Ask for a snapshot from 1"),
        (["sql", "select usernme from events"], 2, "There is no column 'usernme'. Did you mean username?"),
        (["sql", "select 1 from evnts"], 2, "There is no table 'evnts'. Did you mean events? SHOW TABLES"),
        (["sql", "select foo(1) from events"], 2, "DESCRIBE TABLE"),
        (["sql", "describe evnts"], 2, "Did you mean events?"),
        (["query", "ip_activity", "--order-by", "-failure"], 2, "Did you mean failures?"),
        (["sql", "selct"], 2, "write a SELECT"),
        (["sql", "select count(*) from events where event_at > cast('2026-03-02' as timestamp)"], 2, "now()"),
    ],
)
def test_a_wrong_query_is_one_line_that_names_the_allowed_values(
    loginlake: Loginlake, words: list[str], code: int, hint: str
) -> None:
    assert hint in the_only_line(loginlake(*words), code=code)


@pytest.mark.parametrize(
    ("condition", "attempts"),
    [
        ("attempts>3", [4]),
        ("attempts>=4", [4]),
        ("attempts<3", [1]),
        ("attempts<=3", [3, 1]),
        ("attempts!=3", [4, 1]),
        ("failure_rate<0.5", [1]),
        ("src_ip=", [1]),
        ("is_private=true", []),
        ("last_at>=2026-03-02T01:00:00Z", [1]),
    ],
)
def test_rows_of_a_metric_are_filtered_by_any_column(loginlake: Loginlake, condition: str, attempts: list[int]) -> None:
    found = loginlake("query", "ip_activity", "--where", condition, "--json")

    assert [row["attempts"] for row in json.loads(found.stdout)] == attempts


def test_several_values_of_a_column_are_alternatives(loginlake: Loginlake) -> None:
    found = loginlake("query", "ip_activity", "--where", "attempts=3", "--where", "attempts=4", "--json")

    assert [row["attempts"] for row in json.loads(found.stdout)] == [4, 3]


def test_a_period_is_given_by_dates(loginlake: Loginlake) -> None:
    def rows(*words: str) -> int:
        return len(json.loads(loginlake("query", "ip_activity", *words, "--json").stdout))

    assert rows("--from", "2026-03-02", "--to", "2026-03-03") == 3
    assert rows("--to", "2026-03-02") == 0
    assert rows("--from", "2026-03-01", "--to", "yesterday") == 3


@pytest.mark.parametrize("command", [["query", "events"], ["tables"], ["sql", "select 1"], ["verify"]])
def test_a_missing_lake_is_one_line_that_names_its_folder(
    loginlake: Loginlake, tmp_path: Path, command: list[str]
) -> None:
    line = the_only_line(loginlake(*command, "--root", str(tmp_path / "nowhere")), code=1)

    assert f"{tmp_path / 'nowhere'} does not exist" in line
    assert "--root" in line


@pytest.mark.parametrize("command", [["query", "events"], ["tables"]])
def test_a_folder_that_is_not_a_lake_is_one_line_that_names_it(
    loginlake: Loginlake, tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "other").mkdir()

    line = the_only_line(loginlake(*command, "--root", str(tmp_path / "other")), code=1)

    assert f"{tmp_path / 'other'} has no tables" in line
    assert "--root" in line


def test_a_lake_that_is_a_file_is_one_line_that_says_so(loginlake: Loginlake, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    line = the_only_line(loginlake("tables", "--root", str(tmp_path / "file")), code=1)

    assert f"{tmp_path / 'file'} is a file" in line
