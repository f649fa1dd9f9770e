"""Faults of Kafka, the lake and the disk: the stream continues with all rows, or stops with an error and a hint."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewTopic
from pyspark.sql import SparkSession

from bronze.stream import ingest_once, running_stream
from lakehouse import kafka
from lakehouse.error_translation import translated_errors
from lakehouse.errors import BrokerFailed, DiskFull, LakeUnreadable, TopicChanged
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from lakehouse.tables.bronze import RAW_LOGS
from tests.bronze.test_stream import (
    FLUSH_SECONDS,
    a_topic,
    add_partitions,
    offsets,
    rows,
    send,
    send_uncommitted,
    wait_for_rows,
)
from tests.damage import COMMIT_DAMAGES, Damage
from tests.mounts import fill, mounted
from tests.spark_lakes import copied
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

# A stream that should stop has this long; on a busy machine Spark takes a minute.
STOP_SECONDS = 180


@pytest.fixture(scope="module")
def lake_behind_kafka(spark: SparkSession, kafka: str, created: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with a record in each of bronze's two last commits, whose topic has a third one; not to be changed."""
    lake = copied(spark, created, tmp_path_factory.mktemp("behind"), kafka=kafka, topic=f"logs-{uuid4().hex[:8]}")
    settings = a_topic(lake)
    for value in (b"1", b"2"):
        send(settings, value)
        ingest_once(lake)
    send(settings, b"3")
    return lake


def run_until_it_stops(lake: Lake, *, rows: int, then: Callable[[], None]) -> None:
    """Run a stream, call `then` when it has read this many rows, and raise the error that stops it."""
    with running_stream(lake, once=False) as query:
        wait_for_rows(lake, rows, query)
        then()
        query.awaitTermination(STOP_SECONDS)
        pytest.fail("the stream continues")


def test_a_recreated_topic_stops_the_job_with_both_ids(fed_lake: Lake) -> None:
    settings = a_topic(fed_lake)
    send(settings, b"1")
    ingest_once(fed_lake)
    recorded = kafka.topic_id(settings)
    recreate(settings)
    send(settings, b"1", b"2")

    with pytest.raises(TopicChanged, match=r"start a new lake") as stopped:
        ingest_once(fed_lake)

    assert stopped.value.parts == {"recorded": recorded, "current": kafka.topic_id(settings)}
    assert offsets(fed_lake) == [(0, 0)]


def test_records_that_are_deleted_before_a_running_stream_reads_them_stop_it_with_their_range(fed_lake: Lake) -> None:
    settings = a_topic(fed_lake)
    send(settings, b"1")

    def lose() -> None:
        # The stream sees the records only once they are committed, and then some are deleted.
        producer = send_uncommitted(settings, b"2", b"3", b"4")
        delete_records(settings, until=3)
        producer.commit_transaction(FLUSH_SECONDS)

    with pytest.raises(TopicChanged, match=rf"deleted offsets 1 to 2 of {settings.topic}:0 that bronze lacks"):
        run_until_it_stops(fed_lake.with_settings(bronze_trigger_seconds=1.0), rows=1, then=lose)

    assert offsets(fed_lake) == [(0, 0)]


@pytest.mark.parametrize("records", [1, 4], ids=["fewer", "more"])
def test_recreating_the_topic_stops_a_running_stream_with_both_ids(fed_lake: Lake, records: int) -> None:
    settings = a_topic(fed_lake)
    send(settings, b"1", b"2")
    recorded = kafka.topic_id(settings)

    def recreate_with_records() -> None:
        recreate(settings)
        send(settings, *[b"new"] * records)

    with pytest.raises(TopicChanged, match=re.escape(f"bronze was read from the one with id {recorded}")):
        run_until_it_stops(fed_lake.with_settings(bronze_trigger_seconds=1.0), rows=2, then=recreate_with_records)

    assert [row["value"] for row in rows(fed_lake)] == [b"1", b"2"]


def test_a_partition_that_is_added_while_the_stream_runs_is_read_from_its_beginning(fed_lake: Lake) -> None:
    settings = a_topic(fed_lake)
    send(settings, b"1")

    with running_stream(fed_lake.with_settings(bronze_trigger_seconds=0.5), once=False) as query:
        wait_for_rows(fed_lake, 1, query)
        add_partitions(settings, 3)
        send(settings, b"2", b"3", partition=2)
        wait_for_rows(fed_lake, 3, query)

    assert offsets(fed_lake) == [(0, 0), (2, 0), (2, 1)]


@pytest.mark.parametrize("damage", COMMIT_DAMAGES.values(), ids=COMMIT_DAMAGES.keys())
def test_the_records_of_a_lost_last_commit_are_read_again(
    lake_behind_kafka: Lake, tmp_path: Path, damage: Damage
) -> None:
    root = shutil.copytree(lake_behind_kafka.settings.root, tmp_path / "lake")
    damaged = lake_behind_kafka.with_settings(root=str(root), state=tmp_path / "state")
    damage(Path(damaged.uri(RAW_LOGS)))

    if damage is COMMIT_DAMAGES["garbage"]:
        with pytest.raises(LakeUnreadable, match=r"_delta_log/0+3\.json"), translated_errors():
            ingest_once(damaged)
    else:
        ingest_once(damaged)
        assert [row["value"] for row in rows(damaged)] == [b"1", b"2", b"3"]


@pytest.mark.parametrize("full", ["root", "state"])
def test_a_full_disk_stops_the_stream_and_with_free_space_it_continues_without_loss(
    fed_lake: Lake, tmp_path: Path, full: str
) -> None:
    settings = a_topic(fed_lake)
    send(settings, b"1")
    ingest_once(fed_lake)
    with mounted(tmp_path / "disk", megabytes=4) as disk:
        places = {"root": str(disk / "lake"), "state": disk / "state"}
        lake = fed_lake.with_settings(**{full: places[full]})
        if full == "root":
            shutil.copytree(settings.root, lake.settings.root)
        send(settings, b"2", b"3")
        filler = fill(disk)

        with pytest.raises(DiskFull, match=r"No space is left.*Free some space and start again"), translated_errors():
            ingest_once(lake)
        filler.unlink()
        ingest_once(lake)

        assert offsets(lake) == [(0, 0), (0, 1), (0, 2)]


def test_without_a_broker_the_error_has_a_hint_to_start_one(lake: Lake) -> None:
    with pytest.raises(BrokerFailed, match="loginlake broker"):
        ingest_once(lake.with_settings(kafka="127.0.0.1:9"))


def delete_records(settings: Settings, *, until: int) -> None:
    """Delete the records of partition 0 below an offset, as the retention of Kafka does."""
    admin = kafka.admin_client(settings)  # must live until the answer
    deleted = TopicPartition(settings.topic, 0, until)
    admin.delete_records([deleted])[deleted].result(10)


def recreate(settings: Settings) -> None:
    """Delete the topic, wait until the broker has done so, and create it again."""
    admin = kafka.admin_client(settings)
    admin.delete_topics([settings.topic])[settings.topic].result(10)
    wait_until(lambda: settings.topic not in admin.list_topics(timeout=10).topics)
    admin.create_topics([NewTopic(settings.topic, num_partitions=2)])[settings.topic].result(10)
