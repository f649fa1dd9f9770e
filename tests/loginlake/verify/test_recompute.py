"""Silver and gold computed again by another engine: equal cell by cell, or the row and its columns are named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from lakehouse.settings import Settings
from lakehouse.tables.gold import APP_ACTIVITY, DETECTIONS, IP_ACTIVITY, PAIR_ACTIVITY, STORED_METRICS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from loginlake.verify.engine import EngineFailed, an_engine
from loginlake.verify.recompute_gold import METRICS
from tests.loginlake.verify.conftest import Verified
from tests.loginlake.verify.lakes import OFFSETS, HandmadeLake, faults_of

Fault = Callable[[HandmadeLake], None]
IS_SECOND = (pl.col("topic") == "logs") & (pl.col("partition") == 0) & (pl.col("offset") == 2)


@pytest.fixture
def lake(settings: Settings) -> HandmadeLake:
    """The copy, to be falsified."""
    return HandmadeLake(settings)


def cell(table: Table, value: pl.Expr, *, where: pl.Expr) -> Fault:
    """One column changed in some rows, and published."""

    def write(lake: HandmadeLake) -> None:
        name = value.meta.output_name()
        rows = pl.read_delta(lake.uri(table))
        rows = rows.with_columns(pl.when(where).then(value).otherwise(pl.col(name)).alias(name))
        lake.overwrite(table, rows.to_arrow())
        lake.append_snapshot(4, OFFSETS)

    return write


def without(table: Table, *, where: pl.Expr) -> Fault:
    """Some rows taken away, and published."""

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
    "a detection too many": (
        cell(DETECTIONS, pl.lit("0" * 32).alias("detection_id"), where=pl.lit(value=True)),
        f"detection_id {'0' * 32} should not be there",
    ),
}


def test_a_healthy_lake_is_what_bronze_gives(verified: Verified) -> None:
    report = verified(is_deep=True)

    assert faults_of(report) == []
    again = {check.claim.split()[0]: check.checked for check in report.checks if check.claim.endswith("again")}
    assert again["silver.events"] == 39
    assert again["gold.detections"] == 1
    assert set(again) >= {f"gold.{metric.name}" for metric in STORED_METRICS}


@pytest.mark.parametrize(("inject", "named"), FAULTS.values(), ids=FAULTS)
def test_a_falsified_cell_is_named(lake: HandmadeLake, verified: Verified, inject: Fault, named: str) -> None:
    inject(lake)

    found = faults_of(verified(is_deep=True))

    assert [fault for fault in found if named in fault], found


def test_rows_of_an_older_decoder_are_counted_apart_and_no_fault(lake: HandmadeLake, verified: Verified) -> None:
    def as_version_0(lake: HandmadeLake) -> None:
        old = pl.when(IS_SECOND).then(pl.lit("an older reading")).otherwise(pl.col("detail")).alias("detail")
        version = pl.when(IS_SECOND).then(pl.lit(0, pl.Int32)).otherwise(pl.col("decoder_version"))
        rows = pl.read_delta(lake.uri(EVENTS)).with_columns(old, version.alias("decoder_version"))
        lake.overwrite(EVENTS, rows.to_arrow())
        lake.append_snapshot(4, OFFSETS)

    as_version_0(lake)
    report = verified(is_deep=True)

    assert faults_of(report) == []
    assert "1 rows decoded by an older release, taken as they are" in notes_of(report)


def test_other_enrichment_data_than_is_installed_is_said_and_not_compared(
    lake: HandmadeLake, verified: Verified
) -> None:
    cell(EVENTS, pl.lit("XX").alias("country"), where=IS_SECOND)(lake)
    lake.append_snapshot(5, OFFSETS, enrichment=json.dumps({"iptocc": "0.1"}))

    report = verified(is_deep=True)

    assert not [fault for fault in faults_of(report) if "logs:0:2 differs" in fault]
    assert any("not compared: some rows were enriched with other data" in note for note in notes_of(report))


@pytest.mark.parametrize(("table", "name"), [(DETECTIONS, "rule_version"), (EVENTS, "decoder_version")])
@pytest.mark.parametrize("version", [99, None])
def test_a_version_that_is_none_of_ours_excuses_nothing(
    lake: HandmadeLake, verified: Verified, table: Table, name: str, version: int | None
) -> None:
    cell(table, pl.lit(version, pl.Int32).alias(name), where=pl.lit(value=True))(lake)

    assert [fault for fault in faults_of(verified(is_deep=True)) if name in fault]


def test_detections_of_an_earlier_version_of_the_rule_are_left_as_they_are(
    lake: HandmadeLake, verified: Verified
) -> None:
    cell(DETECTIONS, pl.lit(0, pl.Int32).alias("rule_version"), where=pl.lit(value=True))(lake)

    report = verified(is_deep=True)

    assert faults_of(report) == []
    assert "1 found by an earlier version of the rule, not compared" in notes_of(report)


def test_a_table_with_a_damaged_file_is_named_and_not_computed_upon(lake: HandmadeLake, verified: Verified) -> None:
    (file,) = {Path(uri.removeprefix("file://")) for uri in lake.table(EVENTS).file_uris() if "verdict=broken" in uri}
    # The column is read by the recomputation alone.
    group = pq.ParquetFile(file).metadata.row_group(0)
    detail = next(group.column(at) for at in range(group.num_columns) if group.column(at).path_in_schema == "detail")
    begin = detail.dictionary_page_offset or detail.data_page_offset
    content = file.read_bytes()
    file.write_bytes(content[:begin] + b"\xff" * 40 + content[begin + 40 :])

    assert verified().ok
    found = faults_of(verified(is_deep=True))
    assert any(file.name in fault for fault in found), found
    assert "silver.events has damaged files, so it is not read" in found
    assert not [fault for fault in found if "differs in" in fault]


def test_a_damaged_gold_table_ends_no_check_of_the_others(lake: HandmadeLake, verified: Verified) -> None:
    falsified, _ = FAULTS["a row of a metric"]
    falsified(lake)
    for uri in lake.table(PAIR_ACTIVITY).file_uris():
        file = Path(uri.removeprefix("file://"))
        file.write_bytes(file.read_bytes()[:-9])

    shallow, deep = verified(), verified(is_deep=True)

    assert any(fault.endswith("attempts in gold.app_activity, 27 in silver") for fault in faults_of(shallow))
    assert any(fault.startswith("gold.pair_activity_hourly can't be read") for fault in faults_of(shallow))
    assert "gold.pair_activity_hourly has damaged files, so it is not read" in faults_of(deep)
    assert any("app null is missing" in fault for fault in faults_of(deep))


def test_what_the_engine_can_not_compute_is_one_error_of_ours() -> None:
    with an_engine() as duck:
        for ask in (duck.run, duck.count, lambda query: list(duck.rows(query))):
            with pytest.raises(EngineFailed, match="DuckDB could not compute"):
                ask("SELECT count(*) FROM nowhere")


def test_every_stored_metric_has_sql_of_its_own() -> None:
    assert set(METRICS) == {metric.name for metric in STORED_METRICS}


def notes_of(report: object) -> list[str]:
    return [note for check in report.checks for note in check.notes]
