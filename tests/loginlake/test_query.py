"""The read verbs, over a real lake."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
from click.testing import Result
from typer.testing import CliRunner

from lakehouse.errors import BadQuery, LakehouseError, SnapshotMissing, TableMissing
from loginlake.commands.query import app
from tests.serving.lakes import DAY, SmallLake, a_detection, a_login, publish_twice, settings_of


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    settings = settings_of(tmp_path_factory.mktemp("read"))
    publish_twice(settings)
    return settings.root


@pytest.fixture
def loginlake(root: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOGINLAKE_ROOT", root)

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, words, catch_exceptions=False)

    return run


def test_attempts_per_address_are_one_command_away(loginlake) -> None:
    lines = loginlake("query", "ip_activity", "--every", "day", "--format", "csv", "--limit", "2").stdout.splitlines()

    assert lines[0].startswith("window_at,window_on,src_ip,attempts,successes,failures")
    assert [line.split(",")[2:4] for line in lines[1:]] == [["198.51.100.7", "4"], ["192.0.2.1", "3"]]


def test_an_earlier_snapshot_gives_the_earlier_figures(loginlake) -> None:
    by_id = json.loads(loginlake("query", "ip_activity", "--snapshot", "1", "--json").stdout)
    by_instant = json.loads(loginlake("query", "ip_activity", "--as-of", "2026-03-03T00:00:00Z", "--json").stdout)

    assert by_id == by_instant
    assert [row["attempts"] for row in by_id] == [3]


def test_a_table_is_filtered_sorted_and_read_at_a_version(loginlake) -> None:
    written = loginlake(
        "query", "events", "--version", "0", "--where", "offset=2", "--where", "offset=0", "--where", "username__ne=x",
        "--order-by", "-offset", "--format", "ndjson",
    )  # fmt: skip

    assert [json.loads(line)["offset"] for line in written.stdout.splitlines()] == [2, 0]


def test_detections_come_newest_first_and_those_of_a_period_are_asked_for(
    loginlake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path)
    fired = {"b": 1, "c": 3, "a": 2}
    SmallLake(settings).publish(
        [a_login(0)], [a_detection(name, fired_at=DAY + timedelta(hours=hours)) for name, hours in fired.items()]
    )
    monkeypatch.setenv("LOGINLAKE_ROOT", settings.root)

    def found(*words: str) -> list[str]:
        answer = json.loads(loginlake("query", "detections", *words, "--json").stdout)
        return [row["detection_id"] for row in answer]

    assert found() == ["c", "a", "b"]
    assert found("--from", "2026-03-02T02:00:00Z", "--to", "2026-03-02T03:00:00Z") == ["a"]
    assert found("--order-by", "detection_id", "--to", "2026-03-02T03:00:00Z") == ["a", "b"]


def test_events_of_a_period_are_those_that_happened_in_it(loginlake) -> None:
    later = loginlake("query", "silver.events", "--from", "2026-03-02T05:00:00Z", "--json")

    assert [row["offset"] for row in json.loads(later.stdout)] == [7]


def test_parquet_comes_out_whole(loginlake) -> None:
    written = loginlake("query", "bronze.raw_logs", "--format", "parquet").stdout_bytes

    assert pl.read_parquet(BytesIO(written)).height == 8


def test_a_table_for_a_person_shows_what_could_steer_the_terminal_as_its_escape(loginlake) -> None:
    assert "a\\x1b[31m" in loginlake("sql", "select 'a\x1b[31m' as username").stdout


def test_sql_sees_all_tables_of_one_snapshot_by_both_names(loginlake) -> None:
    statement = "select count(*) as n from logins join silver.events using (event_id)"

    assert json.loads(loginlake("sql", statement, "--json").stdout) == [{"n": 8}]
    assert json.loads(loginlake("sql", statement, "--json", "--snapshot", "1").stdout) == [{"n": 3}]


def test_tables_and_history_name_versions(loginlake) -> None:
    tables = json.loads(loginlake("tables", "--json").stdout)
    history = json.loads(loginlake("history", "events", "--json").stdout)

    assert {"table": "silver.events", "version": 1, "grain": "one row per bronze position"} in tables
    assert [commit["version"] for commit in history] == [1, 0]


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["query", "nope"], TableMissing, "ip_activity"),
        (["query", "events", "--version", "7"], TableMissing, "from 0 to 1"),
        (["query", "events", "--version", "0", "--snapshot", "1"], BadQuery, "one of version"),
        (["query", "ip_activity", "--version", "0"], BadQuery, "Name its table: gold.ip_activity"),
        (["query", "snapshots", "--from=-1d"], BadQuery, "no parameter 'from'"),
        (["query", "ip_activity", "--where", "src_ip"], BadQuery, "COLUMN=VALUE"),
        (["query", "ip_activity", "--where", "user=x"], BadQuery, "src_ip"),
        (["query", "ip_activity", "--where", "limit=5"], BadQuery, "Give it as --limit"),
        (["query", "events", "--where", "as_of=x"], BadQuery, "Give it as --as-of"),
        (["query", "ip_activity", "--where", "src_ip=\udcff"], BadQuery, "not valid UTF-8"),
        (["sql", "select '\udcff'"], BadQuery, "can't be executed"),
        (["query", "ip_activity", "--limit", "0"], BadQuery, "from 1 to"),
        (["query", "ip_activity", "--format", "xml"], BadQuery, "csv"),
        (["query", "ip_activity", "--as-of", "2020-01-01T00:00:00Z"], SnapshotMissing, "Ask for one from 1"),
        (["sql", "select nope from events"], BadQuery, "logins"),
        (["sql", "selct"], BadQuery, "logins"),
    ],
)
def test_a_bad_question_is_an_error_that_names_what_is_allowed(
    loginlake, words: list[str], error: type[LakehouseError], hint: str
) -> None:
    with pytest.raises(error, match=hint):
        loginlake(*words)


def test_the_verbs_load_nothing_heavy_before_they_run() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import loginlake.commands.query, sys; print(*sys.modules)"],
        capture_output=True, check=True, text=True, cwd=Path(__file__).parents[2],
    ).stdout.split()  # fmt: skip

    assert not {"polars", "deltalake", "pydantic", "fastapi", "confluent_kafka", "pyarrow"} & set(loaded)
