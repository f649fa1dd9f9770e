"""Publishing records to Kafka: each arrives once, and undelivered ones are counted."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from itertools import count

import msgspec
import pytest

from lakehouse.errors import BrokerFailed, Undelivered
from lakehouse.settings import load_settings
from producer.publish import BATCHING, LedgerEntry, publish
from producer.records import Record
from tests.producer.conftest import MockKafka
from tests.producer.test_generate import a_batch


def a_record(number: int = 0, value: bytes | None = b"{}") -> Record:
    return Record(b"ann", value, [("format", b"login"), ("year", b"2026")], b"e%d" % number)


def test_records_arrive_once_with_key_value_and_headers(mock_kafka: MockKafka) -> None:
    _, records = a_batch(3_000)
    assert publish(records, mock_kafka.settings) == 3_000
    arrived = sorted((m.key(), m.value() or b"", m.headers()) for m in mock_kafka.messages(3_000))
    # The consumer returns an empty value as None.
    assert arrived == sorted((made.key, made.value or b"", made.headers) for made in records)


def test_records_of_one_key_keep_their_order(mock_kafka: MockKafka) -> None:
    publish([a_record(value=b"%d" % number) for number in range(500)], mock_kafka.settings)
    messages = mock_kafka.messages(500)
    assert {message.partition() for message in messages} == {messages[0].partition()}
    assert [message.value() for message in messages] == [b"%d" % number for number in range(500)]


def test_the_producer_is_idempotent() -> None:
    assert BATCHING["enable.idempotence"] is True


def test_the_ledger_names_the_position_of_every_record(mock_kafka: MockKafka) -> None:
    ledger = BytesIO()
    anonymous = Record(b"b\xf6b", b"x", [])
    publish(
        [*(a_record(number, b"%d" % number) for number in range(100)), anonymous], mock_kafka.settings, ledger=ledger
    )
    entries = [msgspec.json.decode(line, type=LedgerEntry) for line in ledger.getvalue().splitlines()]
    values = {(m.partition(), m.offset()): m.value() for m in mock_kafka.messages(101)}
    assert len(entries) == 101
    assert {entry.topic for entry in entries} == {"logs"}
    assert {entry.event_id: values[entry.partition, entry.offset] for entry in entries} == {
        None: b"x",
        **{f"e{number}": b"%d" % number for number in range(100)},
    }
    assert {entry.key for entry in entries} == {"ann", "b\N{REPLACEMENT CHARACTER}b"}


def test_the_last_reported_count_is_the_number_of_records(mock_kafka: MockKafka) -> None:
    counts: list[int] = []
    publish((a_record(number) for number in range(2_500)), mock_kafka.settings, on_sent=counts.append)
    assert counts == sorted(counts)
    assert counts[-1] == 2_500


def test_a_record_that_is_too_large_is_counted_and_the_others_are_delivered(mock_kafka: MockKafka) -> None:
    records = [a_record(0), a_record(1, b"x" * 2_000_000), a_record(2)]
    with pytest.raises(Undelivered, match="1 of 3 records were not delivered to 'logs'") as caught:
        publish(records, mock_kafka.settings)
    assert caught.value.parts == {"lost": 1, "sent": 3}
    assert len(mock_kafka.messages(2)) == 2


def test_records_that_a_lost_broker_did_not_acknowledge_are_counted(mock_kafka: MockKafka) -> None:
    def records() -> Iterator[Record]:
        mock_kafka.close()
        yield from map(a_record, range(25))

    with pytest.raises(Undelivered, match="25 of 25 records were not delivered") as caught:
        publish(records(), mock_kafka.settings, timeout_seconds=1.0)
    assert "later records" not in str(caught.value)
    assert caught.value.exit_code == 1


def test_the_error_mentions_records_that_were_not_sent(mock_kafka: MockKafka) -> None:
    def records() -> Iterator[Record]:
        mock_kafka.close()
        yield from map(a_record, count())

    with pytest.raises(Undelivered, match=r"were not delivered.*later records were not sent"):
        publish(records(), mock_kafka.settings, timeout_seconds=1.0)


def test_publish_waits_while_the_queue_is_full(mock_kafka: MockKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BATCHING, "queue.buffering.max.messages", 7)
    assert publish(map(a_record, range(1_000)), mock_kafka.settings) == 1_000
    assert len(mock_kafka.messages(1_000)) == 1_000


def test_an_unreachable_broker_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehouse.kafka.TIMEOUT", 0.5)
    with pytest.raises(BrokerFailed, match=r"127\.0\.0\.1:1 can't be used"):
        publish([a_record()], load_settings(kafka="127.0.0.1:1"))
