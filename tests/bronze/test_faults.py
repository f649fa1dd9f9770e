"""Faults of Kafka, the lake and the disk under the stream: it goes on with all rows, or stops and names the mend."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewTopic
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from bronze.stream import ingest_once, running_stream
from lakehouse import kafka
from lakehouse.error_translation import translated_errors
from lakehouse.errors import BrokerFailed, DiskFull, LakeUnreadable, TopicChanged
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from lakehouse.tables.bronze import RAW_LOGS
from tests.bronze.test_stream import (
    PATIENCE_SECONDS,
    a_topic,
    add_partitions,
    await_rows,
    offsets,
    rows,
    send,
    send_uncommitted,
)
from tests.damage import COMMIT_DAMAGES, Damage
from tests.mounts import fill, mounted

pytestmark = [pytest.mark.spark, pytest.mark.guarantees]


def run_until_it_stops(lake: Lake, *, rows: int, then: Callable[[], None]) -> None:
    """A stream that has read so many rows when something happens to it; its failure is raised."""
    with running_stream(lake, once=False) as query:
        await_rows(lake, rows, query)
        then()
        query.awaitTermination(PATIENCE_SECONDS)
        pytest.fail("the stream goes on")


def test_a_recreated_topic_stops_the_job_and_both_ids_are_named(fed_lake: Lake) -> None:
    settings = a_topic(fed_lake)
    send(settings, b"1")
    ingest_once(fed_lake)
    noted = kafka.topic_id(settings)
    recreate(settings)
    send(settings, b"1", b"2")

    with pytest.raises(TopicChanged, match=r"start a new lake") as stopped:
        ingest_once(fed_lake)

    assert stopped.value.parts == {"noted": noted, "current": kafka.topic_id(settings)}
    assert offsets(fed_lake) == [(0, 0)]


def test_records_that_the_broker_dropped_before_they_were_read_stop_the_job(fed_lake: Lake) -> None:
    settings = a_topic(fed_lake)
    send(settings, b"1")
    ingest_once(fed_lake)
    send(settings, b"2", b"3", b"4")
    drop(settings, until=3)

    with pytest.raises(TopicChanged, match=rf"dropped offsets 1 to 2 of {settings.topic}:0"):
        ingest_once(fed_lake)


def test_records_that_are_dropped_under_a_running_stream_stop_it_with_the_lost_range(fed_lake: Lake) -> None:
    settings = a_topic(fed_lake)
    send(settings, b"1")

    def lose() -> None:
        # The stream sees none of them before they are committed, and then some are gone.
        producer = send_uncommitted(settings, b"2", b"3", b"4")
        drop(settings, until=3)
        producer.commit_transaction(PATIENCE_SECONDS)

    with pytest.raises(TopicChanged, match=rf"dropped offsets 1 to 2 of {settings.topic}:0 that bronze lacks"):
        run_until_it_stops(fed_lake.with_settings(bronze_trigger_seconds=1.0), rows=1, then=lose)

    assert offsets(fed_lake) == [(0, 0)]


@pytest.mark.parametrize("records", [1, 4], ids=["fewer", "more"])
def test_a_topic_that_is_recreated_under_a_running_stream_stops_it_and_both_ids_are_named(
    fed_lake: Lake, records: int
) -> None:
    settings = a_topic(fed_lake)
    send(settings, b"1", b"2")
    noted = kafka.topic_id(settings)

    def begin_anew() -> None:
        recreate(settings)
        send(settings, *[b"new"] * records)

    with pytest.raises(TopicChanged, match=re.escape(f"bronze was read from the one with id {noted}")):
        run_until_it_stops(fed_lake.with_settings(bronze_trigger_seconds=1.0), rows=2, then=begin_anew)

    assert [row["value"] for row in rows(fed_lake)] == [b"1", b"2"]


def test_a_partition_that_is_added_under_a_running_stream_is_read_from_its_beginning(fed_lake: Lake) -> None:
    settings = a_topic(fed_lake)
    send(settings, b"1")

    with running_stream(fed_lake.with_settings(bronze_trigger_seconds=0.5), once=False) as query:
        await_rows(fed_lake, 1, query)
        add_partitions(settings, 3)
        send(settings, b"2", b"3", partition=2)
        await_rows(fed_lake, 3, query)

    assert offsets(fed_lake) == [(0, 0), (2, 0), (2, 1)]


def test_a_broker_that_was_set_back_stops_the_job_with_what_it_lacks(fed_lake: Lake) -> None:
    settings = a_topic(fed_lake)
    send(settings, b"1", b"2")
    ingest_once(fed_lake)
    # Bronze has read further than Kafka goes: as if the broker's data had been restored from an older copy.
    ahead = fed_lake.read(RAW_LOGS).withColumn("offset", F.col("offset") + 5)
    fed_lake.append(RAW_LOGS, ahead)

    with pytest.raises(TopicChanged, match=rf"{settings.topic}:0 ends at 2, but bronze has read up to 7.*restore its"):
        ingest_once(fed_lake)


@pytest.mark.parametrize("damage", COMMIT_DAMAGES.values(), ids=COMMIT_DAMAGES.keys())
def test_what_bronze_s_last_commit_held_is_read_again_when_it_is_lost(fed_lake: Lake, damage: Damage) -> None:
    settings = a_topic(fed_lake)
    for value in (b"1", b"2"):
        send(settings, value)
        ingest_once(fed_lake)
    elsewhere = copied(fed_lake)
    damage(Path(elsewhere.uri(RAW_LOGS)))
    send(settings, b"3")

    if damage is COMMIT_DAMAGES["garbage"]:
        with pytest.raises(LakeUnreadable, match=r"_delta_log/0+3\.json"), translated_errors():
            ingest_once(elsewhere)
    else:
        ingest_once(elsewhere)
        assert [row["value"] for row in rows(elsewhere)] == [b"1", b"2", b"3"]


@pytest.mark.parametrize("full", ["root", "state"])
def test_a_full_disk_stops_the_stream_and_with_room_it_goes_on_with_nothing_lost(
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


def test_without_a_broker_the_error_names_the_mend(lake: Lake) -> None:
    with pytest.raises(BrokerFailed, match="loginlake broker"):
        ingest_once(lake.with_settings(kafka="127.0.0.1:9"))


def copied(lake: Lake) -> Lake:
    """The same lake in another folder, with the same broker."""
    root = f"{lake.settings.root}-copied"
    shutil.copytree(lake.settings.root, root)
    return lake.with_settings(root=root)


def drop(settings: Settings, *, until: int) -> None:
    """Drops the records of partition 0 below an offset, as retention does."""
    admin = kafka.admin_client(settings)  # the answer comes only while it lives
    dropped = TopicPartition(settings.topic, 0, until)
    admin.delete_records([dropped])[dropped].result(10)


def recreate(settings: Settings) -> None:
    """The broker deletes a topic some time after it says so."""
    admin = kafka.admin_client(settings)
    admin.delete_topics([settings.topic])[settings.topic].result(10)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while settings.topic in admin.list_topics(timeout=10).topics:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    admin.create_topics([NewTopic(settings.topic, num_partitions=2)])[settings.topic].result(10)
