"""Schema evolution: columns that were declared after a table was written."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest
from deltalake import Field, write_deltalake

from lakehouse.tables.gold import DETECTIONS
from lakehouse.tables.metrics import IP_ACTIVITY, PAIR_ACTIVITY
from lakehouse.tables.model import ADDED_COLUMN, Table
from lakehouse.tables.silver import EVENTS
from tests.loginlake.verify.conftest import Verified
from tests.loginlake.verify.lakes import OFFSETS, HandmadeLake, check_of, failed, faults_of, notes_of

CLAIM = "every table has only declared columns, with the declared types"
IPS = IP_ACTIVITY.table
Change = Callable[[pl.DataFrame], pl.DataFrame]

# Tables with a column that has values in the healthy lake and from which no other table is computed.
LATER_COLUMNS = [
    (EVENTS, "reason"),
    (PAIR_ACTIVITY, "failures_invalid_credentials"),
    (IPS, "users"),
    (DETECTIONS, "technique"),
]


def rewrite(lake: HandmadeLake, table: Table, change: Change) -> None:
    """Replace a table and its schema, and publish it."""
    rows = change(pl.read_delta(lake.uri(table)))
    write_deltalake(
        lake.uri(table),
        rows.to_arrow(),
        mode="overwrite",
        schema_mode="overwrite",
        partition_by=list(table.partition_by) or None,
    )
    lake.append_snapshot(4, OFFSETS)


def add_column(lake: HandmadeLake, table: Table, name: str) -> None:
    """Add a declared column to an existing table, as the next writing job does."""
    column = next(column for column in table.columns if column.name == name)
    lake.table(table).alter.add_columns([Field(name, column.type, metadata={"comment": ADDED_COLUMN})])
    lake.append_snapshot(5, OFFSETS)


@pytest.mark.parametrize(("table", "column"), LATER_COLUMNS)
def test_a_column_that_a_version_lacks_is_null_and_no_fault(
    lake: HandmadeLake, verified: Verified, table: Table, column: str
) -> None:
    rewrite(lake, table, lambda rows: rows.drop(column))

    report = verified(is_deep=True)

    assert faults_of(report) == []
    version = lake.table(table).version()
    assert check_of(report, CLAIM).notes == [f"{table.full_name} version {version} lacks {column}, which is null"]


@pytest.mark.parametrize(("table", "column"), LATER_COLUMNS)
def test_rows_written_before_a_column_was_added_are_a_note_with_the_command_that_fills_it(
    lake: HandmadeLake, verified: Verified, table: Table, column: str
) -> None:
    rewrite(lake, table, lambda rows: rows.drop(column))
    add_column(lake, table, column)

    report = verified(is_deep=True)
    earlier = verified(is_deep=True, snapshot=4)

    assert faults_of(report) == faults_of(earlier) == []
    assert check_of(report, CLAIM).notes == []
    (note,) = [note for note in notes_of(report) if note.startswith(f"{column} is null in ")]
    assert f"run `loginlake rebuild {table.layer}`" in note
    assert note in notes_of(earlier)


def test_a_wrong_value_in_an_added_column_is_a_fault(lake: HandmadeLake, verified: Verified) -> None:
    rewrite(lake, IPS, lambda rows: rows.drop("users"))
    add_column(lake, IPS, "users")
    rows = pl.read_delta(lake.uri(IPS)).with_columns(pl.lit(99, pl.Int64).alias("users"))
    lake.append_snapshot(6, OFFSETS)
    write_deltalake(lake.uri(IPS), rows.to_arrow(), mode="overwrite")
    lake.append_snapshot(7, OFFSETS)

    assert all("differs in users" in fault for fault in faults_of(verified(is_deep=True)))
    assert not verified(is_deep=True).ok


def test_a_null_in_a_column_that_the_table_always_had_is_a_fault(lake: HandmadeLake, verified: Verified) -> None:
    rewrite(lake, IPS, lambda rows: rows.with_columns(pl.lit(None, pl.Int64).alias("users")))

    assert [fault for fault in faults_of(verified(is_deep=True)) if "differs in users" in fault]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            lambda rows: rows.with_columns(pl.lit("x").alias("extra")),
            "Version 4 of gold.ip_activity differs from its declaration: extra is not declared",
        ),
        (
            lambda rows: rows.with_columns(pl.col("users").cast(pl.Int32)),
            "Version 4 of gold.ip_activity differs from its declaration: users is integer, declared long",
        ),
    ],
    ids=["undeclared", "another type"],
)
def test_an_undeclared_column_or_another_type_is_a_fault_with_a_hint(
    lake: HandmadeLake, verified: Verified, change: Change, fault: str
) -> None:
    rewrite(lake, IPS, change)

    report = verified(is_deep=True)

    assert check_of(report, CLAIM).details == [fault]
    assert all("release" in check.hint for check in failed(report))
