"""The commands that read the lake: tables, history, query and sql."""

from __future__ import annotations

import json
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest

from tests.loginlake.command_line import Loginlake
from tests.loginlake.test_cli import the_only_line
from tests.serving.lakes import DAY, SmallLake, a_detection, a_login, publish_twice, settings_of


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    settings = settings_of(tmp_path_factory.mktemp("read"))
    publish_twice(settings)
    return settings.root


@pytest.fixture
def loginlake(loginlake: Loginlake, root: str) -> Loginlake:
    """The command line, on a lake with two snapshots."""
    return loginlake.with_environment(LOGINLAKE_ROOT=root)


def test_attempts_per_address_and_day_as_csv(loginlake: Loginlake) -> None:
    lines = loginlake("query", "ip_activity", "--every", "day", "--format", "csv", "--limit", "2").stdout.splitlines()

    assert lines[0].startswith("window_at,window_on,src_ip,attempts,successes,failures")
    assert [line.split(",")[2:4] for line in lines[1:]] == [["198.51.100.7", "4"], ["192.0.2.1", "3"]]


def test_an_earlier_snapshot_returns_its_own_rows(loginlake: Loginlake) -> None:
    by_id = json.loads(loginlake("query", "ip_activity", "--snapshot", "1", "--json").stdout)
    by_instant = json.loads(loginlake("query", "ip_activity", "--as-of", "2026-03-03T00:00:00Z", "--json").stdout)

    assert by_id == by_instant
    assert [row["attempts"] for row in by_id] == [3]


def test_a_table_is_filtered_sorted_and_read_at_a_version(loginlake: Loginlake) -> None:
    written = loginlake(
        "query", "events", "--version", "0", "--where", "offset=2", "--where", "offset=0", "--where", "username__ne=x",
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


def test_events_are_filtered_by_the_time_they_happened(loginlake: Loginlake) -> None:
    later = loginlake("query", "silver.events", "--from", "2026-03-02T05:00:00Z", "--json")

    assert [row["offset"] for row in json.loads(later.stdout)] == [7]


def test_parquet_output_is_readable(loginlake: Loginlake) -> None:
    written = loginlake("query", "bronze.raw_logs", "--format", "parquet").stdout_bytes

    assert pl.read_parquet(BytesIO(written)).height == 8


def test_a_table_escapes_characters_that_could_control_the_terminal(loginlake: Loginlake) -> None:
    assert "a\\x1b[31m" in loginlake("sql", "select 'a\x1b[31m' as username").stdout


def test_sql_reads_all_tables_of_one_snapshot_with_or_without_their_layer(loginlake: Loginlake) -> None:
    statement = "select count(*) as n from logins join silver.events using (event_id)"

    assert json.loads(loginlake("sql", statement, "--json").stdout) == [{"n": 8}]
    assert json.loads(loginlake("sql", statement, "--json", "--snapshot", "1").stdout) == [{"n": 3}]


def test_tables_and_history_list_versions(loginlake: Loginlake) -> None:
    tables = json.loads(loginlake("tables", "--json").stdout)
    history = json.loads(loginlake("history", "events", "--json").stdout)

    assert {"table": "silver.events", "version": 1, "grain": "one row per bronze position"} in tables
    assert [commit["version"] for commit in history] == [1, 0]


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["query", "nope"], 1, "ip_activity"),
        (["query", "events", "--version", "7"], 1, "from 0 to 1"),
        (["query", "events", "--version", "0", "--snapshot", "1"], 2, "one of version"),
        (["query", "ip_activity", "--version", "0"], 2, "Name its table: gold.ip_activity"),
        (["query", "snapshots", "--from=-1d"], 2, "no parameter 'from'"),
        (["query", "ip_activity", "--where", "src_ip"], 2, "COLUMN=VALUE"),
        (["query", "ip_activity", "--where", "user=x"], 2, "src_ip"),
        (["query", "ip_activity", "--where", "limit=5"], 2, "Write it as --limit"),
        (["query", "events", "--where", "as_of=x"], 2, "Write it as --as-of"),
        (["query", "ip_activity", "--where", "src_ip=\udcff"], 2, "not valid UTF-8"),
        (["sql", "select '\udcff'"], 2, "can't be executed"),
        (["query", "ip_activity", "--limit", "0"], 2, "from 1 to"),
        (["query", "ip_activity", "--format", "xml"], 2, "csv"),
        (["query", "ip_activity", "--as-of", "2020-01-01T00:00:00Z"], 1, "Ask for one from 1"),
        (["sql", "select nope from events"], 2, "logins"),
        (["sql", "selct"], 2, "logins"),
    ],
)
def test_a_wrong_query_is_one_line_that_names_the_allowed_values(
    loginlake: Loginlake, words: list[str], code: int, hint: str
) -> None:
    assert hint in the_only_line(loginlake(*words), code=code)
