"""Bronze compared with a real broker: gaps are explained or reported, and the ledger of the producer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from uuid import uuid4

import polars as pl
import pytest
from confluent_kafka import Producer, TopicPartition

from lakehouse import kafka
from lakehouse.settings import Settings
from lakehouse.tables.bronze import RAW_LOGS, TOPIC_ID
from loginlake.verify import Check, Report, VerifyOptions, verify
from loginlake.verify.broker import RECORDS_CLAIM
from loginlake.verify.ledger import ACKNOWLEDGED_CLAIM, acked_positions
from loginlake.verify.ranges import POSITION_SCHEMA, Range
from serving.store import Store
from tests.loginlake.verify.lakes import HandmadeLake, check_of, faults_of
from tests.waiting import wait_until


@pytest.fixture
def settings(kafka: str, tmp_path: Path) -> Settings:
    """A lake without tables, and a topic of its own with one partition."""
    place = {"root": str(tmp_path / "lake"), "state": tmp_path / "state"}
    return Settings(kafka=kafka, topic=f"logs-{uuid4().hex[:8]}", topic_partitions=1, **place, _env_file=None)


@pytest.fixture
def lake(settings: Settings) -> HandmadeLake:
    kafka.ensure_topic(settings)
    return HandmadeLake(settings)


def send(settings: Settings, count: int) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka})
    for number in range(count):
        producer.produce(settings.topic, f"{number}")
    assert producer.flush(30) == 0


def send_in_transaction(settings: Settings, *, end: Callable[[Producer], None], count: int) -> None:
    """Send records in a transaction, and wait for its end marker, which the broker writes after it has answered."""
    begin = stable_end(settings)
    producer = Producer({"bootstrap.servers": settings.kafka, "transactional.id": uuid4().hex})
    producer.init_transactions(30)
    producer.begin_transaction()
    for number in range(count):
        producer.produce(settings.topic, f"{number}")
    producer.flush(30)
    end(producer)
    wait_until(lambda: stable_end(settings) == begin + count + 1)


def stable_end(settings: Settings) -> int:
    """Return the end of the partition up to open transactions."""
    return kafka.partition_bounds(settings)[settings.topic, 0].end


def drop_records(settings: Settings, *, below: int) -> None:
    at = TopicPartition(settings.topic, 0, below)
    admin = kafka.admin_client(settings)
    for dropped in admin.delete_records([at]).values():
        dropped.result(30)


def ingest(lake: HandmadeLake, offsets: Iterable[int]) -> None:
    """Append bronze rows with these offsets."""
    lake.append_offsets(list(offsets))


def positions(settings: Settings, offsets: Iterable[int]) -> pl.DataFrame:
    """Positions of the topic's partition, as in a ledger."""
    return pl.DataFrame([(settings.topic, 0, offset) for offset in offsets], POSITION_SCHEMA, orient="row")


def verified(settings: Settings, **options: object) -> Report:
    return verify(settings, Store(settings), options=VerifyOptions(**options))


def records_check(report: Report) -> Check:
    return check_of(report, RECORDS_CLAIM)


def test_records_past_bronze_are_unread_and_no_fault(lake: HandmadeLake, settings: Settings) -> None:
    send(settings, 10)
    ingest(lake, range(8))

    report = verified(settings)

    assert faults_of(report) == []
    assert report.layers["kafka"] == 10
    assert report.unread["kafka"] == 2


def test_records_that_bronze_lacks_are_missing(lake: HandmadeLake, settings: Settings) -> None:
    send(settings, 10)
    ingest(lake, [1, 2, 5, 6, 9])

    check = records_check(verified(settings))

    topic = settings.topic
    assert check.details == [f"{topic}:0:0 missing", f"{topic}:0:3-4 missing", f"{topic}:0:7-8 missing"]
    assert check.faults == 5
    assert "restore bronze" in check.hint


def test_rows_past_the_end_of_kafka_are_reported_beside_a_gap(lake: HandmadeLake, settings: Settings) -> None:
    send(settings, 10)
    ingest(lake, [*range(1, 10), 12, 13])

    check = records_check(verified(settings))

    topic = settings.topic
    assert check.details == [f"{topic}:0:0 missing", f"{topic}:0:10-13 in bronze, but past the end of Kafka"]


def test_recorded_offsets_past_the_end_of_kafka_are_no_gap(lake: HandmadeLake, settings: Settings) -> None:
    send(settings, 10)
    ingest(lake, range(10))
    lake.append_raw([], read={(settings.topic, 0): 1_010})

    check = records_check(verified(settings))

    assert check.details == [f"{settings.topic}:0:10-1009 recorded as read, but past the end of Kafka"]
    assert check.notes == []


def test_thousands_of_gaps_are_read_again(lake: HandmadeLake, settings: Settings) -> None:
    send(settings, 50_000)
    present = [*range(0, 4_000, 2), *range(4_000, 45_000), *range(45_000, 50_000, 2), 49_999]
    ingest(lake, present)

    check = records_check(verified(settings))

    assert check.faults == 50_000 - len(present)


def test_aborted_records_and_transaction_markers_are_no_gap(lake: HandmadeLake, settings: Settings) -> None:
    send(settings, 3)
    send_in_transaction(settings, end=lambda producer: producer.abort_transaction(30), count=4)
    send_in_transaction(settings, end=lambda producer: producer.commit_transaction(30), count=2)
    send(settings, 1)
    ingest(lake, [0, 1, 2, 8, 9, 11])

    check = records_check(verified(settings))

    assert check.passed, check
    assert check.notes == ["6 offsets have no record: transaction markers and aborted transactions"]


def test_offsets_that_bronze_recorded_as_read_must_be_in_bronze_or_have_no_record(
    lake: HandmadeLake, settings: Settings
) -> None:
    at = (settings.topic, 0)
    send(settings, 2)
    send_in_transaction(settings, end=lambda producer: producer.abort_transaction(30), count=3)
    send(settings, 2)
    ingest(lake, range(2))

    lake.append_raw([], read={at: 6})
    markers_only = records_check(verified(settings))
    lake.append_raw([], read={at: 8})
    beyond = records_check(verified(settings))

    assert markers_only.passed, markers_only
    assert markers_only.notes == ["4 offsets have no record: transaction markers and aborted transactions"]
    assert beyond.details == [f"{settings.topic}:0:6-7 missing"]


def test_records_that_kafka_no_longer_has_are_expired_until_accepted(lake: HandmadeLake, settings: Settings) -> None:
    send(settings, 10)
    ingest(lake, [0, 1, 4, 5, 9])
    drop_records(settings, below=7)
    topic = settings.topic

    check = records_check(verified(settings))
    partly = records_check(verified(settings, accepted=[Range(topic, 0, 2, 3), Range(topic, 0, 7, 7)]))
    wholly = records_check(verified(settings, accepted=[Range(topic, 0, 2, 8)]))

    assert check.details == [f"{topic}:0:7-8 missing", f"{topic}:0:2-3 expired", f"{topic}:0:6 expired"]
    assert partly.details == [f"{topic}:0:8 missing", f"{topic}:0:6 expired"]
    assert wholly.passed


def test_records_that_kafka_dropped_before_bronze_began_are_a_note(lake: HandmadeLake, settings: Settings) -> None:
    send(settings, 10)
    drop_records(settings, below=4)
    ingest(lake, range(4, 10))

    check = records_check(verified(settings))

    assert check.passed
    assert check.notes == [f"{settings.topic}:0 begins at offset 4 in bronze and at 4 in Kafka"]


def test_rows_past_the_end_of_kafka_are_reported(lake: HandmadeLake, settings: Settings) -> None:
    send(settings, 5)
    ingest(lake, range(9))

    check = records_check(verified(settings))

    assert check.details == [f"{settings.topic}:0:5-8 in bronze, but past the end of Kafka"]
    assert check.faults == 4


def test_a_recreated_topic_is_reported_with_both_ids(lake: HandmadeLake, settings: Settings) -> None:
    send(settings, 2)
    ingest(lake, range(2))
    lake.table(RAW_LOGS).alter.set_table_properties(
        {f"{TOPIC_ID}{settings.topic}": "former"}, raise_if_not_exists=False
    )

    report = verified(settings)

    assert faults_of(report) == [
        f"topic {settings.topic} has the id {kafka.topic_id(settings)}; bronze recorded the id former"
    ]
    assert "a recreated topic needs a new lake" in next(check.hint for check in report.checks if check.hint)


def test_acknowledged_records_must_be_in_bronze_or_unread_in_kafka(
    lake: HandmadeLake, settings: Settings, tmp_path: Path
) -> None:
    send(settings, 10)
    ingest(lake, [0, 1, 2, 5, 6, 7])
    ledger = tmp_path / "ledger.ndjson"
    entry = {"topic": settings.topic, "partition": 0, "event_id": "e", "key": None}
    lines = [json.dumps(entry | {"offset": offset}) for offset in (*range(9), 12)]
    ledger.write_text("\n".join(lines) + '\n{"topic": "lo')

    report = verified(settings, acked=acked_positions(ledger))

    check = check_of(report, ACKNOWLEDGED_CLAIM)
    topic = settings.topic
    assert check.details == [
        f"{topic}:0:3-4 acknowledged, but not in bronze",
        f"{topic}:0:12 acknowledged, but not in bronze",
    ]
    assert check.notes == ["1 records are in Kafka and not read yet"]
    lost = [Range(topic, 0, 3, 4), Range(topic, 0, 12, 12)]
    accepted = check_of(verified(settings, acked=acked_positions(ledger), accepted=lost), check.claim)
    assert (accepted.passed, accepted.details) == (True, [])


def test_acknowledged_records_that_kafka_has_deleted_before_bronze_read_them_are_lost(
    lake: HandmadeLake, settings: Settings
) -> None:
    send(settings, 10)
    ingest(lake, range(5))
    drop_records(settings, below=8)

    check = check_of(verified(settings, acked=positions(settings, range(10))), ACKNOWLEDGED_CLAIM)

    assert check.details == [f"{settings.topic}:0:5-7 acknowledged, but not in bronze"]
    assert check.notes == ["2 records are in Kafka and not read yet"]
