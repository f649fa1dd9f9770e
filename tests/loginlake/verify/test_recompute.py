"""Silver and gold recomputed by another engine: equal cell by cell, or the row and its columns are reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from lakehouse.tables.gold import APP_ACTIVITY, DETECTIONS, IP_ACTIVITY, PAIR_ACTIVITY, STORED_METRICS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from loginlake.verify import Report
from loginlake.verify.duckdb_engine import EngineFailed, temporary_engine
from loginlake.verify.recompute_gold import METRICS
from tests.loginlake.verify.conftest import Verified
from tests.loginlake.verify.lakes import OFFSETS, HandmadeLake, faults_of, notes_of

Fault = Callable[[HandmadeLake], None]
IS_SECOND = (pl.col("topic") == "logs") & (pl.col("partition") == 0) & (pl.col("offset") == 2)


def cell(table: Table, value: pl.Expr, *, where: pl.Expr) -> Fault:
    """Change a column in some rows, and publish them."""

    def write(lake: HandmadeLake) -> None:
        name = value.meta.output_name()
        rows = pl.read_delta(lake.uri(table))
        rows = rows.with_columns(pl.when(where).then(value).otherwise(pl.col(name)).alias(name))
        lake.overwrite(table, rows.to_arrow())
        lake.append_snapshot(4, OFFSETS)

    return write


def without(table: Table, *, where: pl.Expr) -> Fault:
    """Remove some rows, and publish the others."""

    def write(lake: HandmadeLake) -> None:
        lake.overwrite(table, pl.read_delta(lake.uri(table)).filter(~where).to_arrow())
        lake.append_snapshot(4, OFFSETS)

    return write


FAULTS: dict[str, tuple[Fault, str]] = {
    "a user name in silver": (
        cell(EVENTS, pl.lit("eve").alias("username"), where=IS_SECOND),
        "logs:0:2 differs in username",
    ),
    "a country in silver": (
        cell(EVENTS, pl.lit("XX").alias("country"), where=IS_SECOND),
        "logs:0:2 differs in country",
    ),
    "a verdict in silver": (
        cell(EVENTS, pl.lit("ignored").alias("verdict"), where=IS_SECOND),
        "logs:0:2 differs in verdict",
    ),
    "a winner in silver": (
        cell(EVENTS, pl.lit(3, pl.Int64).alias("winner_offset"), where=pl.col("winner_offset") == 0),
        "logs:1:0 differs in winner_offset",
    ),
    "the loser as the winner": (
        cell(
            EVENTS,
            pl.when(pl.col("verdict") == "duplicate")
            .then(pl.lit("accepted"))
            .otherwise(pl.lit("duplicate"))
            .alias("verdict"),
            where=pl.col("event_id") == "f0-0",
        ),
        "logs:0:0 differs in verdict",
    ),
    "a reason in the base": (
        cell(PAIR_ACTIVITY, pl.lit(1, pl.Int64).alias("failures_other"), where=pl.col("username") == "user1"),
        "app portal, username user1, src_ip 203.0.113.9, window_at 2026-03-02 12:00:00 differs in failures_other",
    ),
    "a rate in a metric": (
        cell(IP_ACTIVITY.table, pl.lit(0.5).alias("failure_rate"), where=pl.col("src_ip") == "1.1.1.1"),
        "window_at 2026-03-02 00:00:00, src_ip 1.1.1.1 differs in failure_rate",
    ),
    "a row of a metric": (without(APP_ACTIVITY.table, where=pl.col("app").is_null()), "app null is missing"),
    "evidence of a detection": (
        cell(DETECTIONS, pl.lit("[]").alias("evidence"), where=pl.lit(value=True)),
        "differs in evidence",
    ),
    "a detection": (without(DETECTIONS, where=pl.lit(value=True)), "is missing"),
    "an additional detection": (
        cell(DETECTIONS, pl.lit("0" * 32).alias("detection_id"), where=pl.lit(value=True)),
        f"detection_id {'0' * 32} should not exist",
    ),
}


def test_silver_and_every_gold_table_of_a_healthy_lake_equal_their_recomputation(healthy_report: Report) -> None:
    suffix = " equals its recomputation from bronze"
    compared = {check.claim.removesuffix(suffix): check for check in healthy_report.checks if suffix in check.claim}

    assert all(check.passed for check in compared.values())
    assert compared["silver.events"].checked == 39
    assert compared["gold.detections"].checked == 1
    assert set(compared) >= {f"gold.{metric.name}" for metric in STORED_METRICS}
    assert not [note for check in compared.values() for note in check.notes], "a declared column is not recomputed"


@pytest.mark.parametrize(("inject", "fault"), FAULTS.values(), ids=FAULTS)
def test_a_changed_cell_is_located(lake: HandmadeLake, verified: Verified, inject: Fault, fault: str) -> None:
    inject(lake)

    found = faults_of(verified(is_deep=True))

    assert [each for each in found if fault in each], found


def test_rows_of_an_earlier_decoder_version_are_not_compared(lake: HandmadeLake, verified: Verified) -> None:
    def as_version_0(lake: HandmadeLake) -> None:
        old = pl.when(IS_SECOND).then(pl.lit("an older reading")).otherwise(pl.col("detail")).alias("detail")
        version = pl.when(IS_SECOND).then(pl.lit(0, pl.Int32)).otherwise(pl.col("decoder_version"))
        rows = pl.read_delta(lake.uri(EVENTS)).with_columns(old, version.alias("decoder_version"))
        lake.overwrite(EVENTS, rows.to_arrow())
        lake.append_snapshot(4, OFFSETS)

    as_version_0(lake)
    report = verified(is_deep=True)

    assert faults_of(report) == []
    assert "1 rows of an earlier decoder version are not compared" in notes_of(report)


def test_enriched_columns_are_not_compared_if_other_data_was_used(lake: HandmadeLake, verified: Verified) -> None:
    cell(EVENTS, pl.lit("XX").alias("country"), where=IS_SECOND)(lake)
    lake.append_snapshot(5, OFFSETS, enrichment=json.dumps({"iptocc": "0.1"}))

    report = verified(is_deep=True)

    assert not [fault for fault in faults_of(report) if "logs:0:2 differs" in fault]
    assert any("are not compared: some rows were enriched with another version" in note for note in notes_of(report))


@pytest.mark.parametrize(("table", "name"), [(DETECTIONS, "rule_version"), (EVENTS, "decoder_version")])
@pytest.mark.parametrize("version", [99, None])
def test_an_unknown_version_of_a_decoder_or_rule_is_a_fault(
    lake: HandmadeLake, verified: Verified, table: Table, name: str, version: int | None
) -> None:
    cell(table, pl.lit(version, pl.Int32).alias(name), where=pl.lit(value=True))(lake)

    assert [fault for fault in faults_of(verified(is_deep=True)) if name in fault]


def test_detections_of_an_earlier_version_of_the_rule_are_not_compared(lake: HandmadeLake, verified: Verified) -> None:
    cell(DETECTIONS, pl.lit(0, pl.Int32).alias("rule_version"), where=pl.lit(value=True))(lake)

    report = verified(is_deep=True)

    assert faults_of(report) == []
    assert "1 detections of an earlier version of the rule are not compared" in notes_of(report)


def test_a_table_with_a_corrupt_file_is_reported_and_not_read(lake: HandmadeLake, verified: Verified) -> None:
    (file,) = {Path(uri.removeprefix("file://")) for uri in lake.table(EVENTS).file_uris() if "verdict=broken" in uri}
    # Only the recomputation reads this column.
    group = pq.ParquetFile(file).metadata.row_group(0)
    detail = next(group.column(at) for at in range(group.num_columns) if group.column(at).path_in_schema == "detail")
    begin = detail.dictionary_page_offset or detail.data_page_offset
    content = file.read_bytes()
    file.write_bytes(content[:begin] + b"\xff" * 40 + content[begin + 40 :])

    assert verified().ok
    found = faults_of(verified(is_deep=True))
    assert any(file.name in fault for fault in found), found
    assert "silver.events has corrupt files, so it was not read" in found
    assert not [fault for fault in found if "differs in" in fault]


def test_a_damaged_gold_table_does_not_stop_the_checks_of_others(lake: HandmadeLake, verified: Verified) -> None:
    remove_row, _ = FAULTS["a row of a metric"]
    remove_row(lake)
    for uri in lake.table(PAIR_ACTIVITY).file_uris():
        file = Path(uri.removeprefix("file://"))
        file.write_bytes(file.read_bytes()[:-9])

    shallow, deep = verified(), verified(is_deep=True)

    assert any(
        "gold.app_activity has" in fault and fault.endswith("attempts, silver has 27") for fault in faults_of(shallow)
    )
    assert any(fault.startswith("gold.pair_activity_hourly can't be read") for fault in faults_of(shallow))
    assert "gold.pair_activity_hourly has corrupt files, so it was not read" in faults_of(deep)
    assert any("app null is missing" in fault for fault in faults_of(deep))


def test_a_statement_that_duckdb_can_not_run_is_an_error_with_a_hint() -> None:
    with temporary_engine() as engine:
        for run in (engine.run, engine.count, lambda query: list(engine.rows(query))):
            with pytest.raises(EngineFailed, match="DuckDB could not recompute"):
                run("SELECT count(*) FROM nowhere")


def test_every_stored_metric_has_sql_of_its_own() -> None:
    assert set(METRICS) == {metric.name for metric in STORED_METRICS}
