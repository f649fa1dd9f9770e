"""The tables as Spark writes them: created, compared with their declaration, and extended by new columns."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import structlog
from pyspark.sql.types import StructType

from lakehouse.errors import SchemaDiffers
from lakehouse.lake import Lake
from lakehouse.schema import missing_columns, struct_type
from lakehouse.tables.model import ADDED_COLUMN, Column, Table

LOGINS = Table(
    layer="silver",
    name="test_logins",
    grain="one row per login",
    key=("login_id",),
    partition_by=("login_on",),
    columns=(
        Column("login_id", "long", "Number of the login."),
        Column("login_on", "date", "Its day."),
        Column("username", "string", "Who logged in."),
    ),
    properties={"delta.enableChangeDataFeed": "true"},
)
DAY = date(2026, 3, 2)


def with_columns(table: Table, *columns: Column) -> Table:
    """Return the declaration with more columns, before the last one as well as after it."""
    first, *others = columns
    return replace(table, columns=(*table.columns[:-1], first, table.columns[-1], *others))


EXTENDED = with_columns(
    LOGINS, Column("is_mfa", "boolean", "A second factor was used."), Column("score", "double", "Its risk.")
)


def append(lake: Lake, table: Table, *rows: dict[str, Any]) -> None:
    lake.append(table, lake.spark.createDataFrame([{"login_on": DAY} | row for row in rows], struct_type(table)))


def columns_of(lake: Lake, table: Table) -> list[str]:
    return lake.spark.read.format("delta").load(lake.uri(table)).columns


def test_a_live_schema_that_lacks_columns_is_reported_with_their_types() -> None:
    missing = missing_columns(EXTENDED, struct_type(LOGINS))

    assert [(column.name, column.dataType.simpleString()) for column in missing] == [
        ("is_mfa", "boolean"),
        ("score", "double"),
    ]
    assert missing_columns(LOGINS, struct_type(LOGINS)) == []


@pytest.mark.parametrize(
    ("column", "difference"),
    [
        (Column("username", "long", ""), "username is bigint, declared string"),
        (Column("shoe_size", "integer", ""), "shoe_size is not declared"),
    ],
)
def test_another_type_or_an_unknown_column_is_an_error_that_names_it(column: Column, difference: str) -> None:
    others = [each for each in LOGINS.columns if each.name != column.name]
    live = struct_type(replace(LOGINS, columns=(*others, column)))

    with pytest.raises(
        SchemaDiffers, match=rf"silver\.test_logins differs .*: {difference}\. .*LOGINLAKE_ROOT"
    ) as error:
        missing_columns(EXTENDED, live)

    assert error.value.parts["columns"] == [column.name]


def test_the_next_writer_adds_the_declared_columns_in_one_commit_and_logs_them(lake: Lake) -> None:
    lake.ensure(LOGINS)
    append(lake, LOGINS, {"login_id": 1, "username": "ada"})
    before = lake.version(LOGINS)

    with structlog.testing.capture_logs() as logs:
        lake.ensure(EXTENDED)
        lake.ensure(EXTENDED)

    assert lake.version(LOGINS) == before + 1
    assert [{**event, "log_level": None} for event in logs] == [
        {"event": "columns_added", "table": "silver.test_logins", "columns": ["is_mfa", "score"], "log_level": None}
    ]
    live = lake.spark.read.format("delta").load(lake.uri(LOGINS)).schema
    assert [field.name for field in live if field.metadata.get("comment") == ADDED_COLUMN] == ["is_mfa", "score"]


def test_versions_and_changes_from_before_have_null_in_an_added_column(lake: Lake) -> None:
    lake.ensure(LOGINS)
    append(lake, LOGINS, {"login_id": 1, "username": "ada"})
    lake.ensure(EXTENDED)
    append(lake, EXTENDED, {"login_id": 2, "username": "bob", "is_mfa": True, "score": 0.5})

    old = lake.read(EXTENDED, version=1)
    new = lake.read(EXTENDED).orderBy("login_id")
    changes = lake.changes(EXTENDED, after=0, until=3).orderBy("login_id")

    assert old.schema.names == new.schema.names == list(EXTENDED.column_names)
    assert [row.asDict() for row in old.collect()] == [
        {"login_id": 1, "login_on": DAY, "is_mfa": None, "username": "ada", "score": None}
    ]
    assert [(row.login_id, row.is_mfa, row.score) for row in new.collect()] == [(1, None, None), (2, True, 0.5)]
    assert [(row.login_id, row.is_mfa, row["_change_type"]) for row in changes.collect()] == [
        (1, None, "insert"),
        (2, True, "insert"),
    ]
    assert lake.changes(EXTENDED, after=0, until=1).select("score", "_change_type").collect() == [(None, "insert")]


def test_old_rows_of_an_added_column_can_be_filled(lake: Lake) -> None:
    lake.ensure(LOGINS)
    append(lake, LOGINS, {"login_id": 1, "username": "ada"}, {"login_id": 2, "username": "bob"})
    lake.ensure(EXTENDED)
    rows = lake.read(EXTENDED).where("login_id = 1").selectExpr("* EXCEPT (is_mfa)", "true AS is_mfa")

    lake.replace_days(EXTENDED, rows, days=[DAY])

    assert [(row.login_id, row.is_mfa) for row in lake.read(EXTENDED).collect()] == [(1, True)]
    assert [row.is_mfa for row in lake.read(EXTENDED, version=1).collect()] == [None, None]


def test_a_table_with_an_unknown_column_stops_the_writer_and_stays_as_it_is(lake: Lake) -> None:
    lake.ensure(EXTENDED)
    version = lake.version(LOGINS)

    with pytest.raises(SchemaDiffers, match="is_mfa is not declared; score is not declared"):
        lake.ensure(LOGINS)
    with pytest.raises(SchemaDiffers):
        lake.check_schema(LOGINS)

    assert lake.version(LOGINS) == version
    assert set(columns_of(lake, LOGINS)) == set(EXTENDED.column_names)


def test_the_declared_schema_is_the_one_of_a_created_table(lake: Lake) -> None:
    lake.ensure(LOGINS)

    log = Path(lake.uri(LOGINS)) / "_delta_log" / f"{0:020}.json"
    metadata = next(line["metaData"] for line in map(json.loads, log.read_text().splitlines()) if "metaData" in line)
    assert StructType.fromJson(json.loads(metadata["schemaString"])) == struct_type(LOGINS)
    lake.check_schema(LOGINS)
