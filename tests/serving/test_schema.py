"""Versions with other columns than the declared ones: a missing column is null, any other difference an error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.errors import SchemaDiffers
from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot
from lakehouse.tables.metrics import IP_ACTIVITY, PAIR_ACTIVITY
from lakehouse.tables.silver import EVENTS
from serving.sql import sql_answer
from serving.store import Store, collected
from tests.serving.conftest import served_here
from tests.serving.lakes import FIRST_PUBLISHED, SmallLake, a_login

IPS = "/v1/metrics/ip_activity"
HOUR = timedelta(hours=1)
Change = Callable[[pa.Table], pa.Table]


def without(*columns: str) -> Change:
    return lambda rows: rows.drop_columns(list(columns))


def with_column(name: str, values: Sequence[object] | pa.Scalar) -> Change:
    def change(rows: pa.Table) -> pa.Table:
        column = pa.array(list(values) * rows.num_rows)
        if name in rows.column_names:
            return rows.set_column(rows.column_names.index(name), name, column)
        return rows.append_column(name, column)

    return change


UNDECLARED = with_column("risk", [0.5])
OF_ANOTHER_TYPE = with_column("attempts", ["3"])


@pytest.fixture
def first(lake: SmallLake) -> Snapshot:
    """A snapshot with the declared columns: one attempt from one address."""
    return lake.publish([a_login(0)], [])


def test_a_column_that_a_version_lacks_is_null_and_typed(settings: Settings, lake: SmallLake, first: Snapshot) -> None:
    table = IP_ACTIVITY.table
    store = Store(settings)
    snapshot = lake.publish_changed(table, without("users", "country"), FIRST_PUBLISHED + HOUR)

    rows = collected(store.rows(table, snapshot), table)

    assert rows.columns == list(table.column_names)
    assert rows.schema == collected(store.rows(table, first), table).schema
    assert rows.select("src_ip", "attempts", "users", "country").rows() == [("192.0.2.1", 1, None, None)]


def test_a_column_that_later_files_have_is_null_in_earlier_ones(settings: Settings, lake: SmallLake) -> None:
    lake.publish([a_login(0)], [])
    uri = settings.table_uri(EVENTS.layer, EVENTS.name)
    rows = DeltaTable(uri).to_pyarrow_table()
    write_deltalake(
        uri,
        rows.drop_columns(["session_id"]),
        mode="overwrite",
        schema_mode="overwrite",
        partition_by=EVENTS.partition_by,
    )
    later = rows.set_column(rows.column_names.index("session_id"), "session_id", pa.array(["s1"]))
    write_deltalake(uri, later, mode="append", schema_mode="merge")
    store = Store(settings)

    versions = [
        collected(store.rows_at_version(EVENTS, version), EVENTS)["session_id"].sort().to_list() for version in (1, 2)
    ]

    assert versions == [[None], [None, "s1"]]


@pytest.mark.usefixtures("first")
def test_a_metric_is_computed_from_a_base_that_lacks_a_measure(settings: Settings, lake: SmallLake) -> None:
    lake.publish_changed(PAIR_ACTIVITY, without("lockouts", "country"), FIRST_PUBLISHED + HOUR)

    with served_here(settings) as client:
        (row,) = client.get("/v1/metrics/user_activity", params={"every": "hour"}).json()["data"]
        (raw,) = client.get("/v1/tables/gold.pair_activity_hourly/rows").json()["data"]

    assert (row["username"], row["attempts"], row["countries"], row["lockouts"]) == ("user0001", 1, 1, 0)
    assert (raw["attempts"], raw["lockouts"]) == (1, None)


@pytest.mark.usefixtures("first")
def test_sql_sees_a_column_that_the_version_lacks_as_null(settings: Settings, lake: SmallLake) -> None:
    snapshot = lake.publish_changed(EVENTS, without("session_id"), FIRST_PUBLISHED + HOUR)

    rows = sql_answer("select username, session_id from logins", Store(settings), snapshot=snapshot)

    assert rows.schema == {"username": pl.String, "session_id": pl.String}
    assert rows.rows() == [("user0001", None)]


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (UNDECLARED, "risk is not declared"),
        (OF_ANOTHER_TYPE, "attempts is string, declared long"),
    ],
    ids=["undeclared", "another type"],
)
def test_any_other_difference_is_an_error_that_names_the_column(
    settings: Settings, lake: SmallLake, change: Change, difference: str
) -> None:
    table = IP_ACTIVITY.table
    snapshot = lake.publish_changed(table, change, FIRST_PUBLISHED + HOUR)
    store = Store(settings)

    reads = (
        lambda: store.rows(table, snapshot),
        lambda: store.rows_at_version(table, 1),
        lambda: sql_answer(f"select 1 from {table.name}", store, snapshot=snapshot),
    )
    for read in reads:
        with pytest.raises(
            SchemaDiffers, match=rf"Version 1 of gold\.ip_activity differs .*: {difference}\. .*release"
        ):
            read()


@pytest.mark.usefixtures("first")
def test_the_api_serves_the_last_snapshot_whose_columns_it_knows(settings: Settings, lake: SmallLake) -> None:
    lake.publish_changed(IP_ACTIVITY.table, UNDECLARED, FIRST_PUBLISHED + HOUR)

    with served_here(settings) as client:
        ready, served, newest = client.get("/readyz").json(), client.get(IPS), client.get(IPS, params={"snapshot": 2})

    assert (ready["status"], ready["snapshot"], served.headers["Loginlake-Snapshot"]) == ("degraded", 1, "1")
    assert "risk is not declared" in ready["detail"]
    assert newest.status_code == 503
    assert newest.json()["type"] == "/docs/problems#schema-differs"
    assert "risk is not declared" in newest.json()["detail"]
