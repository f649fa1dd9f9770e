from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from delta.tables import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from lakehouse.errors import LockHeld, SchemaDiffers
from lakehouse.lake import Lake
from lakehouse.locks import writer_lock
from lakehouse.progress import SilverProgress, note_from_json, read_silver_progress, summarize_events
from lakehouse.tables.bronze import POSITION, RAW_LOGS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from silver.enrich import enrichment_versions
from silver.job import update_silver
from silver.rebuild import rewrite_events
from tests.spark_lakes import FIRST_BATCH, a_raw, a_raw_login, append_batch, copied, rows_of


def verdicts(lake: Lake) -> dict[tuple[int, int], str]:
    return {(row["partition"], row["offset"]): row["verdict"] for row in rows_of(lake, EVENTS)}


def winners(lake: Lake) -> dict[tuple[int, int], tuple[int, int] | None]:
    """The position of the winner for each duplicate."""
    return {
        (row["partition"], row["offset"]): (row["winner_partition"], row["winner_offset"])
        for row in rows_of(lake, EVENTS)
        if row["verdict"] == "duplicate"
    }


@pytest.fixture(scope="module")
def decoded_lake(spark: SparkSession, created: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake whose silver was written once. Tests must not write to it.

    Partition 0 has a record of each verdict, partition 1 an event id on two days, partition 2 a gap before its first
    offset.
    """
    lake = copied(spark, created, tmp_path_factory.mktemp("decoded"))
    append_batch(
        lake,
        [
            a_raw_login(0, event_at="2026-01-01T00:00:00Z"),
            a_raw_login(1, event_id="e0-0", event_at="2026-01-01T00:00:00Z"),
            a_raw(2, value=b'{"action":"paid"}'),
            a_raw(3, value=None),
            a_raw_login(0, partition=1, event_id="same", event_at="2026-01-31T23:59:59.999Z"),
            a_raw_login(1, partition=1, event_id="same", event_at="2026-02-01T00:00:00Z"),
            a_raw_login(4, partition=2),
        ],
    )
    assert update_silver(lake) == 7
    return lake


def test_every_bronze_row_becomes_one_silver_row_with_a_verdict(decoded_lake: Lake) -> None:
    assert verdicts(decoded_lake) == {
        (0, 0): "accepted",
        (0, 1): "duplicate",
        (0, 2): "ignored",
        (0, 3): "broken",
        (1, 0): "accepted",
        (1, 1): "accepted",
        (2, 4): "accepted",
    }


def test_a_duplicate_has_the_position_of_its_winner(decoded_lake: Lake) -> None:
    assert winners(decoded_lake) == {(0, 1): (0, 0)}


def test_the_same_id_on_another_day_is_another_event(decoded_lake: Lake) -> None:
    days = [row["event_on"] for row in rows_of(decoded_lake, EVENTS) if row["event_id"] == "same"]

    assert days == [date(2026, 1, 31), date(2026, 2, 1)]


def test_a_row_is_in_the_partition_of_its_event_day_or_else_of_its_ingest_day(decoded_lake: Lake) -> None:
    days = {(row["partition"], row["offset"]): row["event_on"] for row in rows_of(decoded_lake, EVENTS)}

    assert days[0, 0] == date(2026, 1, 1)
    assert days[0, 2] == days[0, 3] == FIRST_BATCH.date()


def test_a_commit_notes_the_progress_that_its_rows_show(decoded_lake: Lake) -> None:
    note = note_from_json(decoded_lake.user_metadata(EVENTS))
    rows = summarize_events(decoded_lake.read(EVENTS)).progress

    assert note is not None
    assert note.silver_progress == replace(rows, enrichment=enrichment_versions())
    assert rows == SilverProgress({("logs", 0): 4, ("logs", 1): 2, ("logs", 2): 5}, FIRST_BATCH.date())


def test_rows_are_summarized_without_losing_their_cache(decoded_lake: Lake) -> None:
    events = decoded_lake.read(EVENTS).persist()

    summarize_events(events)

    assert events.storageLevel.useMemory
    events.unpersist()


def test_a_run_is_one_commit_and_a_run_without_new_rows_starts_no_spark_job(lake: Lake) -> None:
    append_batch(lake, [a_raw_login(0), a_raw_login(0, partition=1)])
    append_batch(lake, [a_raw_login(1)], number=1)
    created = lake.version(EVENTS)

    assert update_silver(lake) == 3
    assert lake.version(EVENTS) == created + 1

    scheduler = lake.spark.sparkContext._jsc.sc().dagScheduler()
    before = scheduler.numTotalJobs()
    assert update_silver(lake) == 0
    assert scheduler.numTotalJobs() == before
    assert lake.version(EVENTS) == created + 1


def test_bronze_rows_of_a_commit_without_a_note_are_read_once(lake: Lake) -> None:
    append_batch(lake, [a_raw_login(0)])
    update_silver(lake)
    lake.append(RAW_LOGS, lake.read(RAW_LOGS).withColumn("offset", F.lit(1).cast("long")))

    assert update_silver(lake) == 1
    version = lake.version(EVENTS)
    assert update_silver(lake) == 0
    assert lake.version(EVENTS) == version


def test_progress_is_computed_from_the_rows_where_the_newest_commit_has_no_note(lake: Lake) -> None:
    append_batch(lake, [a_raw_login(0), a_raw_login(1)])
    update_silver(lake)
    DeltaTable.forPath(lake.spark, lake.uri(EVENTS)).update("offset = 1", {"detail": "'edited by hand'"})

    assert read_silver_progress(lake) == SilverProgress({("logs", 0): 2}, FIRST_BATCH.date())
    append_batch(lake, [a_raw_login(2)], number=1)
    assert update_silver(lake) == 1


def test_a_later_copy_is_a_duplicate_even_with_another_body(lake: Lake) -> None:
    append_batch(lake, [a_raw_login(0, event_id="same", username="first")])
    update_silver(lake)
    append_batch(lake, [a_raw_login(1, event_id="same", username="second"), a_raw_login(2)], number=1)
    update_silver(lake)

    assert verdicts(lake) == {(0, 0): "accepted", (0, 1): "duplicate", (0, 2): "accepted"}
    assert winners(lake) == {(0, 1): (0, 0)}


# Copies of one event, the winner first: partition (a remainder), offset and number of the batch.
COPIES = {
    "ingested first": (1, 9, 0),
    "least partition of the second batch": (0, 7, 1),
    "next offset": (0, 8, 1),
    "other partition": (1, 0, 1),
}
ORDERS = list(permutations(COPIES))


def test_the_winner_is_the_first_to_reach_bronze_in_any_order_of_rows(lake: Lake) -> None:
    for number in (0, 1):
        batch = [
            a_raw_login(offset, 2 * event + partition, event_id=f"same-{event}")
            for event, order in enumerate(ORDERS)
            for partition, offset, batch_number in map(COPIES.__getitem__, order)
            if batch_number == number
        ]
        append_batch(lake, batch, number=number)
    update_silver(lake)

    assert winners(lake) == {
        (2 * event + partition, offset): (2 * event + 1, 9)
        for event in range(len(ORDERS))
        for partition, offset in ((0, 7), (0, 8), (1, 0))
    }


def test_batch_by_batch_the_rows_are_the_same_as_in_one_run(lake: Lake, tmp_path: Any) -> None:
    in_one_run = lake.with_settings(root=str(tmp_path / "other"))
    for number in range(3):
        batch = [
            a_raw_login(10 * number + row, partition=row % 2, event_id=f"e{row % 4}", username=f"u{number}")
            for row in range(6)
        ]
        append_batch(lake, batch, number=number)
        append_batch(in_one_run, batch, number=number)
        update_silver(lake)
    update_silver(in_one_run)

    assert rows_of(lake, EVENTS) == rows_of(in_one_run, EVENTS)


def test_silver_continues_by_position_however_bronze_is_stored(lake: Lake) -> None:
    append_batch(lake, [a_raw_login(0), a_raw_login(0, partition=1)])
    append_batch(lake, [a_raw_login(1)], number=1)
    update_silver(lake)
    DeltaTable.forPath(lake.spark, lake.uri(RAW_LOGS)).optimize().executeCompaction()

    assert update_silver(lake) == 0
    append_batch(lake, [a_raw_login(1, partition=1)], number=2)
    assert update_silver(lake) == 1
    assert (
        len(rows_of(lake, EVENTS)) == len({tuple(row[name] for name in POSITION) for row in rows_of(lake, EVENTS)}) == 4
    )


def test_a_later_partition_is_read_from_its_first_row(lake: Lake) -> None:
    append_batch(lake, [a_raw_login(5)])
    update_silver(lake)
    append_batch(lake, [a_raw_login(0, partition=3)], number=1)

    assert update_silver(lake) == 1


def test_a_second_writer_is_refused_with_the_name_of_the_holder(lake: Lake) -> None:
    with (
        writer_lock(lake, "refresh"),
        pytest.raises(LockHeld, match=r"Process \d+ has held the lock of refresh"),
    ):
        update_silver(lake)


@pytest.mark.parametrize("table", [EVENTS, RAW_LOGS], ids=lambda table: table.full_name)
def test_a_table_with_an_undeclared_column_stops_the_job(lake: Lake, table: Table) -> None:
    append_batch(lake, [a_raw_login(0)])
    lake.spark.sql(f"ALTER TABLE delta.`{lake.uri(table)}` ADD COLUMN stranger STRING")

    with pytest.raises(SchemaDiffers, match=rf"{table.full_name} differs .*: stranger is not declared"):
        update_silver(lake)
    assert rows_of(lake, EVENTS) == []


def test_a_lake_without_bronze_has_no_rows_to_read_and_bronze_is_not_created(lake: Lake) -> None:
    shutil.rmtree(lake.uri(RAW_LOGS))

    assert update_silver(lake) == 0
    assert rewrite_events(lake) == 0
    assert not lake.exists(RAW_LOGS)
