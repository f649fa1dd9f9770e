"""Silver and gold recomputed by another engine: equal cell by cell, or the row and its columns are reported."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from lakehouse.tables.gold import DETECTIONS, FIRST_SEEN
from lakehouse.tables.metrics import APP_ACTIVITY, IP_ACTIVITY, PAIR_ACTIVITY, STORED_METRICS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from loginlake.verify import Report
from loginlake.verify.duckdb_engine import EngineFailed, temporary_engine
from loginlake.verify.recompute_gold import METRICS
from tests.loginlake.verify.conftest import Verified
from tests.loginlake.verify.faults import Fault, cell
from tests.loginlake.verify.lakes import NOON, OFFSETS, HandmadeLake, faults_of, notes_of

# The id of the detection of brute_force_ip: a hash of rule, address and hour.
DETECTION_ID = sha256(b"brute_force_ip\n203.0.113.9\n2026-03-02T12:00:00+00:00").hexdigest()[:32]
EVERY_ROW = pl.lit(value=True)


def at_offset(offset: int) -> pl.Expr:
    """Return the mask of the silver row at an offset of partition 0."""
    return (pl.col("partition") == 0) & (pl.col("offset") == offset)


def without(table: Table, *, where: pl.Expr) -> Fault:
    """Remove some rows."""

    def write(lake: HandmadeLake) -> None:
        lake.overwrite(table, pl.read_delta(lake.uri(table)).filter(~where).to_arrow())

    return write


def inject(lake: HandmadeLake, *faults: Fault) -> None:
    """Apply faults, and publish the tables as they are then."""
    for fault in faults:
        fault(lake)
    lake.append_snapshot(4, OFFSETS)


LOSER_AS_WINNER = pl.when(pl.col("verdict") == "duplicate").then(pl.lit("accepted")).otherwise(pl.lit("duplicate"))

# Faults that are injected together because none hides another, each with the place that must be reported.
FAULTS: dict[str, list[tuple[Fault, str]]] = {
    "cells": [
        (cell(EVENTS, pl.lit("eve").alias("username"), where=at_offset(2)), "logs:0:2 differs in username"),
        (cell(EVENTS, pl.lit("XX").alias("country"), where=at_offset(3)), "logs:0:3 differs in country"),
        (cell(EVENTS, pl.lit("ignored").alias("verdict"), where=at_offset(4)), "logs:0:4 differs in verdict"),
        (
            cell(EVENTS, pl.lit(3, pl.Int64).alias("winner_offset"), where=pl.col("winner_offset") == 0),
            "logs:1:0 differs in winner_offset",
        ),
        (
            cell(PAIR_ACTIVITY, pl.lit(1, pl.Int64).alias("failures_other"), where=pl.col("username") == "user1"),
            "app portal, username user1, src_ip 203.0.113.9, window_at 2026-03-02 12:00:00 differs in failures_other",
        ),
        (
            cell(IP_ACTIVITY.table, pl.lit(0.5).alias("failure_rate"), where=pl.col("src_ip") == "1.1.1.1"),
            "window_at 2026-03-02 00:00:00, src_ip 1.1.1.1 differs in failure_rate",
        ),
        (
            cell(FIRST_SEEN, pl.lit(NOON).alias("first_at"), where=pl.col("kind") == "country"),
            "username ada, kind country, value AU differs in first_at",
        ),
        (
            cell(DETECTIONS, pl.lit("[]").alias("evidence"), where=EVERY_ROW),
            f"detection_id {DETECTION_ID} differs in evidence",
        ),
    ],
    "rows": [
        (
            cell(EVENTS, LOSER_AS_WINNER.alias("verdict"), where=pl.col("event_id") == "f0-0"),
            "logs:0:0 differs in verdict",
        ),
        (without(APP_ACTIVITY.table, where=pl.col("app").is_null()), "app null is missing"),
        (
            cell(DETECTIONS, pl.lit("0" * 32).alias("detection_id"), where=EVERY_ROW),
            f"detection_id {'0' * 32} should not exist",
        ),
        (lambda _lake: None, f"detection_id {DETECTION_ID} is missing"),
    ],
}


def test_silver_and_every_gold_table_of_a_healthy_lake_equal_their_recomputation(healthy_report: Report) -> None:
    suffix = " equals its recomputation from bronze"
    compared = {check.claim.removesuffix(suffix): check for check in healthy_report.checks if suffix in check.claim}

    assert all(check.passed for check in compared.values())
    assert compared["silver.events"].checked == 39
    assert compared["gold.detections"].checked == 2
    assert set(compared) >= {f"gold.{metric.name}" for metric in STORED_METRICS}
    assert not [note for check in compared.values() for note in check.notes], "a declared column is not recomputed"


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_every_difference_is_located(lake: HandmadeLake, verified: Verified, faults: list[tuple[Fault, str]]) -> None:
    inject(lake, *(fault for fault, _ in faults))

    found = faults_of(verified(is_deep=True))

    assert [place for _, place in faults if not any(place in each for each in found)] == [], found


def test_rows_of_an_earlier_decoder_version_are_not_compared(lake: HandmadeLake, verified: Verified) -> None:
    inject(
        lake,
        cell(EVENTS, pl.lit("an older reading").alias("detail"), where=at_offset(2)),
        cell(EVENTS, pl.lit(0, pl.Int32).alias("decoder_version"), where=at_offset(2)),
    )

    report = verified(is_deep=True)

    assert faults_of(report) == []
    assert "1 rows of an earlier decoder version are not compared" in notes_of(report)


def test_enriched_columns_are_not_compared_if_other_data_was_used(lake: HandmadeLake, verified: Verified) -> None:
    inject(lake, cell(EVENTS, pl.lit("XX").alias("country"), where=at_offset(2)))
    lake.append_snapshot(5, OFFSETS, enrichment=json.dumps({"iptocc": "0.1"}))

    report = verified(is_deep=True)

    assert not [fault for fault in faults_of(report) if "logs:0:2 differs" in fault]
    assert any("are not compared: some rows were enriched with another version" in note for note in notes_of(report))


@pytest.mark.parametrize(("table", "name"), [(DETECTIONS, "rule_version"), (EVENTS, "decoder_version")])
@pytest.mark.parametrize("version", [99, None])
def test_an_unknown_version_of_a_decoder_or_rule_is_a_fault(
    lake: HandmadeLake, verified: Verified, table: Table, name: str, version: int | None
) -> None:
    inject(lake, cell(table, pl.lit(version, pl.Int32).alias(name), where=EVERY_ROW))

    assert [fault for fault in faults_of(verified(is_deep=True)) if name in fault]


def test_detections_of_an_earlier_version_of_the_rule_are_not_compared(lake: HandmadeLake, verified: Verified) -> None:
    inject(lake, cell(DETECTIONS, pl.lit(0, pl.Int32).alias("rule_version"), where=EVERY_ROW))

    report = verified(is_deep=True)

    assert faults_of(report) == []
    assert "2 detections of earlier versions of their rules are not compared" in notes_of(report)


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
    inject(lake, without(APP_ACTIVITY.table, where=pl.col("app").is_null()))
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
