"""The stream with a real broker: bronze has every record of Kafka once, in batches of increasing instants."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewPartitions

from bronze.stream import ingest_once, running_stream
from lakehouse import kafka
from lakehouse.errors import ClockWentBack, LockHeld
from lakehouse.lake import Lake
from lakehouse.progress import BronzeProgress, bronze_progress_of_rows, read_bronze_progress
from lakehouse.settings import Settings
from lakehouse.tables.bronze import RAW_LOGS
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pyspark.sql.streaming.query import StreamingQuery

FLUSH_SECONDS = 60


def send(settings: Settings, *values: bytes | None, partition: int = 0, **more: Any) -> None:
    producer = Producer(kafka.client_options(settings))
    for value in values:
        producer.produce(settings.topic, value, partition=partition, **more)
    assert producer.flush(FLUSH_SECONDS) == 0


def send_uncommitted(settings: Settings, *values: bytes) -> Producer:
    """Return a producer with an open transaction that has sent the values to partition 0."""
    producer = Producer(kafka.client_options(settings, **{"transactional.id": settings.topic}))
    producer.init_transactions(FLUSH_SECONDS)
    producer.begin_transaction()
    for value in values:
        producer.produce(settings.topic, value, partition=0)
    assert producer.flush(FLUSH_SECONDS) == 0
    return producer


def a_topic(lake: Lake) -> Settings:
    kafka.ensure_topic(lake.settings)
    return lake.settings


def offsets(lake: Lake) -> list[tuple[int, int]]:
    return [(row["partition"], row["offset"]) for row in rows(lake)]


def last_ingest(lake: Lake) -> datetime:
    return read_bronze_progress(lake).last_ingest


def rows(lake: Lake) -> list[dict[str, Any]]:
    return lake.read(RAW_LOGS).orderBy("partition", "offset").toArrow().to_pylist()


def test_bronze_has_the_bytes_headers_and_position_of_every_record(fed_lake: Lake) -> None:
    settings = a_topic(fed_lake)
    send(settings, b"\xff\x00{", key=b"\xfe", headers=[("format", b"login"), ("odd", None), ("odd", b"\xff")])
    send(settings, None, b"")
    send(settings, b"{}", headers=[(f"h{number}", b"") for number in range(1000)])

    before = datetime.now(UTC)
    ingest_once(fed_lake)

    row, *others = rows(fed_lake)
    assert (row["key"], row["value"]) == (b"\xfe", b"\xff\x00{")
    assert row["headers"] == [
        {"key": "format", "value": b"login"},
        {"key": "odd", "value": None},
        {"key": "odd", "value": b"\xff"},
    ]
    assert (row["topic"], row["partition"], row["offset"]) == (settings.topic, 0, 0)
    assert before - timedelta(minutes=1) < row["appended_at"] < datetime.now(UTC)
    assert row["timestamp_type"] == 1
    assert before <= row["ingested_at"] <= datetime.now(UTC)
    assert row["ingested_on"] == row["ingested_at"].date()
    assert [(row["value"], len(row["headers"] or [])) for row in others] == [(None, 0), (b"", 0), (b"{}", 1000)]


def test_each_run_continues_after_the_last_row_even_if_the_state_folder_is_lost_or_old(fed_lake: Lake) -> None:
    settings = a_topic(fed_lake)
    send(settings, b"1", b"2")
    ingest_once(fed_lake)
    older_state = settings.state.with_name("older")
    shutil.copytree(settings.state, older_state)
    send(settings, b"3", partition=1)
    ingest_once(fed_lake)

    shutil.rmtree(settings.state)
    ingest_once(fed_lake)
    assert offsets(fed_lake) == [(0, 0), (0, 1), (1, 0)]

    shutil.rmtree(settings.state, ignore_errors=True)
    older_state.rename(settings.state)
    send(settings, b"4")
    ingest_once(fed_lake)
    assert offsets(fed_lake) == [(0, 0), (0, 1), (0, 2), (1, 0)]


def test_commits_note_the_progress_that_the_rows_show(fed_lake: Lake) -> None:
    settings = a_topic(fed_lake)
    assert read_bronze_progress(fed_lake) == BronzeProgress({}, None)
    assert bronze_progress_of_rows(fed_lake.read(RAW_LOGS)) == BronzeProgress({}, None)
    send(settings, b"1", b"2")
    send(settings, b"3", partition=1)
    ingest_once(fed_lake)
    expected = bronze_progress_of_rows(fed_lake.read(RAW_LOGS))
    assert expected.offsets == {(settings.topic, 0): 2, (settings.topic, 1): 1}

    for file in Path(fed_lake.uri(RAW_LOGS)).glob("ingested_on=*/*.parquet"):
        file.unlink()
    assert read_bronze_progress(fed_lake) == expected
    fed_lake.set_property(RAW_LOGS, name="some", value="property")
    assert read_bronze_progress(fed_lake) == expected


def test_each_topic_of_a_lake_is_read_after_its_own_rows(fed_lake: Lake) -> None:
    first = a_topic(fed_lake)
    second = first.model_copy(update={"topic": f"{first.topic}-other"})
    kafka.ensure_topic(second)
    for settings in (first, second, first):
        send(settings, b"1")
        ingest_once(Lake(fed_lake.spark, settings))

    read = [(row["topic"], row["offset"]) for row in rows(fed_lake)]
    assert sorted(read) == [(first.topic, 0), (first.topic, 1), (second.topic, 0)]


def test_a_run_without_new_records_writes_nothing_and_the_next_batch_has_a_later_instant(fed_lake: Lake) -> None:
    settings = a_topic(fed_lake)
    send(settings, b"1")
    ingest_once(fed_lake)
    first, version = last_ingest(fed_lake), fed_lake.version(RAW_LOGS)

    ingest_once(fed_lake)
    assert fed_lake.version(RAW_LOGS) == version

    send(settings, b"2")
    ingest_once(fed_lake)
    assert [row["ingested_at"] for row in rows(fed_lake)] == [first, last_ingest(fed_lake)]
    assert first < last_ingest(fed_lake)


def test_an_added_partition_is_read_from_its_beginning(fed_lake: Lake) -> None:
    settings = a_topic(fed_lake)
    send(settings, b"1")
    ingest_once(fed_lake)
    add_partitions(settings, 3)
    send(settings, b"2", b"3", partition=2)

    ingest_once(fed_lake)

    assert offsets(fed_lake) == [(0, 0), (2, 0), (2, 1)]


def test_records_of_aborted_transactions_are_not_in_bronze(fed_lake: Lake) -> None:
    settings = a_topic(fed_lake)
    send_uncommitted(settings, b"lost").abort_transaction(FLUSH_SECONDS)
    send_uncommitted(settings, b"kept").commit_transaction(FLUSH_SECONDS)
    # Two records and two markers; the broker writes a marker after its answer.
    wait_until(lambda: kafka.partition_bounds(settings)[settings.topic, 0].end == 4)

    ingest_once(fed_lake)
    assert [row["value"] for row in rows(fed_lake)] == [b"kept"]

    send(settings, b"after")
    ingest_once(fed_lake)
    assert [row["value"] for row in rows(fed_lake)] == [b"kept", b"after"]


def test_a_clock_that_goes_back_stops_the_running_stream(fed_lake: Lake) -> None:
    settings = a_topic(fed_lake)
    send(settings, b"1")
    ingest_once(fed_lake)
    send(settings, b"2")
    ticks = iter([datetime.now(UTC), last_ingest(fed_lake) - timedelta(hours=1)])

    with (
        pytest.raises(ClockWentBack, match="Correct the clock"),
        running_stream(fed_lake, once=True, clock=lambda: next(ticks)) as query,
    ):
        query.awaitTermination()

    assert offsets(fed_lake) == [(0, 0)]


def test_a_running_stream_reads_new_records_and_refuses_a_second_writer(fed_lake: Lake) -> None:
    settings = a_topic(fed_lake)
    send(settings, b"1")

    with running_stream(fed_lake.with_settings(bronze_trigger_seconds=0.2), once=False) as query:
        with pytest.raises(LockHeld, match="lock of bronze"):
            ingest_once(fed_lake)
        send(settings, b"2", partition=1)
        wait_for_rows(fed_lake, 2, query)

    assert offsets(fed_lake) == [(0, 0), (1, 0)]


def add_partitions(settings: Settings, count: int) -> None:
    """Increase the number of partitions of the topic, and wait until the broker reports them."""
    admin = kafka.admin_client(settings)  # must live until the answer
    admin.create_partitions([NewPartitions(settings.topic, count)])[settings.topic].result(10)
    wait_until(lambda: len(kafka.partition_bounds(settings)) == count)


def wait_for_rows(lake: Lake, count: int, query: StreamingQuery) -> None:
    """Wait until a running stream has written this many rows."""

    def has_rows() -> bool:
        assert query.exception() is None
        return len(offsets(lake)) >= count

    wait_until(has_rows)
