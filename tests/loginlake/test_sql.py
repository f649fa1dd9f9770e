"""`loginlake sql`."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from io import BytesIO, StringIO
from pathlib import Path
from unittest.mock import patch

import pytest

from lakehouse.tables import METRICS_BY_NAME, READABLE, TABLES
from lakehouse.tables.metrics import HOUR_OF_WEEK, IP_ACTIVITY, METRICS
from lakehouse.tables.model import Metric, Table, Window
from serving.sql import RESERVED_COLUMNS
from tests.loginlake.command_line import Loginlake, Terminal
from tests.loginlake.test_cli import the_only_line
from tests.serving.lakes import FIRST_PUBLISHED, SmallLake, a_login, publish_twice, settings_of


@pytest.fixture
def loginlake(loginlake: Loginlake, two_snapshots: str) -> Loginlake:
    """The command line, on a lake with two snapshots."""
    return loginlake.with_environment(LOGINLAKE_ROOT=two_snapshots)


def test_sql_reads_all_tables_of_one_snapshot_with_or_without_their_layer(loginlake: Loginlake) -> None:
    statement = "select count(*) as n from logins join silver.events using (event_id)"

    assert json.loads(loginlake("sql", statement, "--json").stdout) == [{"n": 8}]
    assert json.loads(loginlake("sql", statement, "--json", "--snapshot", "1").stdout) == [{"n": 3}]


@pytest.mark.parametrize(
    ("columns", "header"),
    [
        ("count(*)", "count"),
        ("verdict, COUNT(*)", "verdict,count"),
        ("count(*) as len", "len"),
        ("count(*), count(*) as count", "len,count"),
    ],
)
def test_a_count_is_named_count(loginlake: Loginlake, columns: str, header: str) -> None:
    statement = f"select {columns} from events" + (" group by verdict" if "verdict" in columns else "")

    assert loginlake("sql", statement, "--format", "csv").stdout.splitlines()[0] == header


def test_sql_compares_instants_with_now(loginlake: Loginlake) -> None:
    statement = "select count(*) as n from events where event_at < now() - interval '1 day'"

    assert json.loads(loginlake("sql", statement, "--json").stdout) == [{"n": 8}]


@pytest.mark.parametrize(
    "statement",
    [
        "delete from events",
        "truncate table events",
        "drop table events",
        "insert into events values (1)",
        "update events set times = 2",
        "create table copies as select * from events",
        "alter table events add column x int",
        "set a = 1",
        "explain delete from events",
    ],
)
def test_sql_refuses_everything_but_reads(loginlake: Loginlake, statement: str) -> None:
    assert "is not a read. The lake can only be read" in the_only_line(loginlake("sql", statement), code=2)


def test_sql_with_a_common_table_expression_is_a_read(loginlake: Loginlake) -> None:
    statement = "with failed as (select * from logins where outcome = 'failure') select count(*) as n from failed;"

    assert json.loads(loginlake("sql", statement, "--json").stdout) == [{"n": 7}]


def test_the_prompt_answers_statements_until_it_is_left(loginlake: Loginlake) -> None:
    typed = iter(["select nope from events;", "select count(*) as n", "from events;", r"\q"])
    with patch("builtins.input", lambda _prompt: next(typed)), patch("sys.stdin", Terminal(BytesIO())):
        ended = loginlake.with_environment(HOME=str(loginlake.folder))("sql", "--format", "csv")

    assert ended.returncode == 0
    assert ended.stdout == "n\n8\n"
    assert "There is no column" in ended.stderr


def test_help_and_lists_need_no_semicolon_at_the_prompt(loginlake: Loginlake) -> None:
    typed = iter(["show tables", "Describe logins", "help", "exit"])
    with patch("builtins.input", lambda _prompt: next(typed)), patch("sys.stdin", Terminal(BytesIO())):
        ended = loginlake.with_environment(HOME=str(loginlake.folder))("sql", "--format", "csv")

    assert ended.returncode == 0
    alone = "".join(loginlake("sql", text, "--format", "csv").stdout for text in ("show tables", "describe logins"))
    assert ended.stdout == alone
    assert ended.stderr.count("End a SELECT with a semicolon") == 2


@pytest.mark.parametrize(
    ("metric", "every"),
    [(metric, "week") for metric in METRICS if metric != HOUR_OF_WEEK]
    + [(IP_ACTIVITY, every) for every in ("hour", "day", "month")],
    ids=lambda value: getattr(value, "name", value),
)
def test_sql_has_a_view_per_metric_and_window_with_the_rows_of_query(
    loginlake: Loginlake, metric: Metric, every: Window
) -> None:
    def rows(*words: str) -> list[dict[str, object]]:
        return sorted(json.loads(loginlake(*words, "--json").stdout), key=str)

    by_query = rows("query", metric.name, "--every", every)
    assert by_query
    assert rows("sql", f"select * from {metric.name}_{every}") == by_query


def test_the_view_without_a_window_has_the_days(loginlake: Loginlake) -> None:
    by_name, by_day = (
        json.loads(loginlake("sql", f"select * from {name}", "--json").stdout)
        for name in ("country_activity", "country_activity_day")
    )

    assert by_name == by_day != []


def test_sql_lists_tables_and_views(loginlake: Loginlake) -> None:
    listed = {row["name"] for row in json.loads(loginlake("sql", "show tables", "--json").stdout)}
    text = loginlake("sql", "--help").stdout

    assert {f"{metric.name}_{every}" for metric in METRICS for every in metric.every} <= listed
    assert [name for name in (*METRICS_BY_NAME, *(table.name for table in TABLES.values())) if name not in text] == []


def test_sql_opens_only_the_tables_that_it_names(loginlake: Loginlake, tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    publish_twice(settings)
    shutil.rmtree(settings.table_uri("gold", "ip_activity"))
    loginlake = loginlake.with_environment(LOGINLAKE_ROOT=settings.root)

    assert loginlake("sql", "select count(*) as n from logins", "--format", "csv").stdout == "n\n8\n"
    assert loginlake("sql", "select * from ip_activity").returncode == 1


def test_sql_reads_a_statement_from_standard_input(loginlake: Loginlake) -> None:
    with patch("sys.stdin", StringIO("select count(*) as n\nfrom events;\n")):
        assert loginlake("sql", "--format", "csv").stdout == "n\n8\n"


def test_sql_answers_the_statements_of_standard_input_up_to_the_first_error(loginlake: Loginlake) -> None:
    count = "select count(*) as n\nfrom events;\n\n"
    with patch("sys.stdin", StringIO(f"{count}describe logins\n{count}select nope from events;\n{count}")):
        ended = loginlake("sql", "--format", "csv")

    described = loginlake("sql", "describe logins", "--format", "csv").stdout
    assert (ended.returncode, ended.stdout) == (2, f"n\n8\n{described}n\n8\n")
    assert "There is no column 'nope'" in ended.stderr


@pytest.mark.parametrize(
    "statement",
    ["select reason, offset from events", "select active, returning from active_users", "select min(OFFSET) f x y"],
)
def test_a_column_that_is_a_word_of_sql_is_to_be_quoted(loginlake: Loginlake, statement: str) -> None:
    assert "is a word of SQL in double quotes" in the_only_line(loginlake("sql", statement), code=2)


@pytest.mark.parametrize(
    "condition", ["= failure", '= "failure"', "<> failure", "in (failure)", 'in ("success", "failure")']
)
def test_text_without_single_quotes_is_refused_with_the_right_spelling(loginlake: Loginlake, condition: str) -> None:
    line = the_only_line(loginlake("sql", f"select count(*) from logins where outcome {condition}"), code=2)

    assert "If it is text, write it in single quotes: '" in line


def test_a_misspelt_column_is_not_taken_for_text(loginlake: Loginlake) -> None:
    line = the_only_line(loginlake("sql", "select * from ip_activity where attempts > failurs"), code=2)

    assert "There is no column 'failurs'. Did you mean failures?" in line


@pytest.mark.parametrize(
    "table", [*READABLE.values(), *(metric.table for metric in METRICS)], ids=lambda each: each.name
)
def test_no_other_column_needs_quotes(loginlake: Loginlake, table: Table) -> None:
    columns = ", ".join(f'"{name}"' if name in RESERVED_COLUMNS else name for name in table.column_names)

    ended = loginlake("sql", f"select {columns} from {table.name} limit 1", "--format", "csv")

    assert ended.stdout.splitlines()[0].split(",") == list(table.column_names)


def test_raw_records_are_searched_as_text_also_beside_records_that_are_not_utf_8(
    loginlake: Loginlake, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path)
    lake = SmallLake(settings)
    lake.publish([a_login(0)], [], value=b"\xff own-1")
    lake.publish([a_login(1), a_login(2)], [], FIRST_PUBLISHED + timedelta(hours=1), value=b'{"event_id": "own-2"}')
    found = (
        """select r.text, r."offset", e.verdict from raw_logs r join events e using (topic, partition, "offset") """
        "where r.text like '%own-{}%' order by \"offset\""
    )

    def rows(number: int) -> list[dict[str, object]]:
        return json.loads(loginlake("sql", found.format(number), "--json", "--root", settings.root).stdout)

    assert rows(1) == [{"text": "� own-1", "offset": 0, "verdict": "accepted"}]
    assert [row["offset"] for row in rows(2)] == [1, 2]


@pytest.mark.parametrize("condition", ["value like '%x%'", "cast(value as text) = 'x'"])
def test_bytes_compared_with_text_are_an_error_that_names_the_text(loginlake: Loginlake, condition: str) -> None:
    line = the_only_line(loginlake("sql", f"select 1 from raw_logs where {condition}"), code=2)

    assert "search the column text of raw_logs" in line


@pytest.mark.parametrize(
    "name", ["events", "raw_logs", "silver.events", "logins", "ip_activity", "ip_activity_week", "attacks"]
)
def test_describe_lists_the_columns_of_a_table_or_view_and_their_meanings(loginlake: Loginlake, name: str) -> None:
    columns = json.loads(loginlake("sql", f"describe {name}", "--json").stdout)
    header, *_ = loginlake("sql", f"select * from {name} limit 1", "--format", "csv").stdout.splitlines()

    assert all(column["type"] and column["meaning"] for column in columns)
    assert [column["column"] for column in columns] == header.split(",")


def test_describe_prints_long_meanings_and_nested_types_whole(loginlake: Loginlake) -> None:
    printed = loginlake.on_a_terminal(columns=80)("sql", "describe raw_logs").stdout

    assert "…" not in printed
    assert " array of " in printed
