"""Publish records to Kafka, idempotently and in batches, and count those that the broker did not acknowledge."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import BinaryIO, TypeAlias

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from lakehouse.errors import Undelivered
from lakehouse.kafka import client, ensure_topic
from lakehouse.settings import Settings
from producer.records import Record

# Called with the number of records sent so far.
OnSent: TypeAlias = Callable[[int], None]

TIMEOUT_SECONDS = 300.0
POLL_RECORDS = 1_000
POLL_SECONDS = 1.0
FULL_QUEUE_SECONDS = 0.1
BATCHING = {
    "enable.idempotence": True,
    "linger.ms": 20,
    "batch.size": 1_000_000,
    "compression.type": "lz4",
    "queue.buffering.max.messages": 200_000,
    "queue.buffering.max.kbytes": 262_144,
    # The default of a broker; the default of the client is a little smaller.
    "message.max.bytes": 1_048_588,
    # Problems are raised as one error; the library must not log them as well.
    "log_level": 0,
}
# Errors that concern a single record; the next one may be accepted.
RECORD_ERRORS = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD})


def publish(
    records: Iterable[Record],
    settings: Settings,
    *,
    ledger: BinaryIO | None = None,
    on_sent: OnSent | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> int:
    """Send records to a topic and wait until the broker has acknowledged them.

    Args:
        records: Records to send, in this order.
        settings: Broker and topic; a missing topic is created.
        ledger: Receives a JSON line for each acknowledged record, see `LedgerEntry`.
        on_sent: Called with the number of records sent, every thousand records or every second, and at the end.
        timeout_seconds: How long the broker may take to acknowledge a record.

    Returns:
        The number of records sent; all of them are acknowledged.

    Raises:
        Undelivered: The broker did not acknowledge some records. If the broker is unreachable, the rest is not sent.
        BrokerFailed: The broker does not answer at the start.
    """
    ensure_topic(settings)
    sender = CountingProducer(settings, ledger=ledger, timeout_seconds=timeout_seconds)
    try:
        sent_all = _send_all(records, sender, on_sent=on_sent or _ignore)
    finally:
        sender.flush()
    (on_sent or _ignore)(sender.sent)
    if sender.lost:
        raise _undelivered(sender, settings, sent_all=sent_all)
    return sender.sent


class CountingProducer:
    """An idempotent Kafka producer that counts the records that the broker did not acknowledge.

    Attributes:
        sent: Number of records sent so far.
        lost: Number of them that the broker refused or did not acknowledge in time.
        last_error: Why the last one was lost.
        is_broker_lost: True once a record was lost for a reason that also concerns the next ones.
    """

    def __init__(self, settings: Settings, *, ledger: BinaryIO | None, timeout_seconds: float) -> None:
        self.sent = 0
        self.lost = 0
        self.last_error = ""
        self.is_broker_lost = False
        self._is_interrupted = False
        self._topic = settings.topic
        self._ledger = ledger
        self._timeout_seconds = timeout_seconds
        self._producer = client(
            Producer,
            settings,
            **BATCHING,
            **{
                "message.timeout.ms": int(timeout_seconds * 1000),
                # Offsets are needed only for the ledger; without one, report only losses.
                "delivery.report.only.error": ledger is None,
            },
        )
        self._produce = self._producer.produce

    def send(self, record: Record) -> None:
        """Queue a record; wait while the queue is full."""
        self.sent += 1
        report = self._on_delivery if self._ledger is None else partial(self._on_ledger_delivery, record)
        while not self.is_broker_lost:
            try:
                self._produce(self._topic, record.value, record.key, headers=record.headers, on_delivery=report)
            except BufferError:
                self._wait_for_room()
            except KafkaException as error:
                self._count_lost(error.args[0])
                return
            else:
                return
        self._count_lost(KafkaError(KafkaError._MSG_TIMED_OUT))

    def poll(self) -> None:
        """Process the delivery reports that have arrived."""
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait for all delivery reports, or until Ctrl-C; records without a report count as lost."""
        deadline = monotonic() + self._timeout_seconds + FULL_QUEUE_SECONDS
        # In steps, so that Python handles signals in between.
        with suppress(KeyboardInterrupt):
            while not self._is_interrupted and self._producer.flush(POLL_SECONDS) and monotonic() < deadline:
                pass
        # The length counts events of librdkafka too, such as that of a lost connection.
        if unreported := min(len(self._producer), self.sent - self.lost):
            self.lost += unreported
            self.last_error = "no delivery report"

    def _wait_for_room(self) -> None:
        """Wait until the queue has room. Ctrl-C ends the wait as it ends `flush`; lost records are counted."""
        try:
            self._producer.poll(FULL_QUEUE_SECONDS)
        except KeyboardInterrupt:
            self.is_broker_lost = self._is_interrupted = True

    def _on_ledger_delivery(  # noqa: PLR0917 (signature of librdkafka)
        self, record: Record, error: KafkaError | None, message: Message
    ) -> None:
        self._on_delivery(error, message)
        if error is None and self._ledger is not None:
            event_id, key = _text(record.event_id), _text(record.key)
            entry = LedgerEntry(message.topic(), message.partition(), message.offset(), event_id=event_id, key=key)
            self._ledger.write(msgspec.json.encode(entry) + b"\n")

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._count_lost(error)

    def _count_lost(self, error: KafkaError) -> None:
        self.lost += 1
        self.last_error = error.str()
        self.is_broker_lost = self.is_broker_lost or error.code() not in RECORD_ERRORS


class LedgerEntry(msgspec.Struct, frozen=True):
    """A line of the ledger: the position of an acknowledged record, its event id and its key."""

    topic: str
    partition: int
    offset: int
    event_id: str | None
    key: str | None


def _send_all(records: Iterable[Record], sender: CountingProducer, *, on_sent: OnSent) -> bool:
    """Send records while the broker accepts them; return whether all were sent."""
    send, due_records, due_at = sender.send, POLL_RECORDS, monotonic() + POLL_SECONDS
    for record in records:
        send(record)
        if sender.sent >= due_records or monotonic() >= due_at:
            sender.poll()
            on_sent(sender.sent)
            due_records, due_at = sender.sent + POLL_RECORDS, monotonic() + POLL_SECONDS
            if sender.is_broker_lost:
                return False
    return True


def _text(name: bytes | None) -> str | None:
    return None if name is None else name.decode(errors="replace")


def _ignore(_sent: int) -> None:
    """Ignore the number of records sent."""


def _undelivered(sender: CountingProducer, settings: Settings, *, sent_all: bool) -> Undelivered:
    rest = "" if sent_all else "; later records were not sent"
    return Undelivered(
        f"{sender.lost} of {sender.sent} records were not delivered to {settings.topic!r} at {settings.kafka}: "
        f"{sender.last_error}{rest}",
        hint="Check that the broker runs and accepts records as large as the largest one sent, then send them again: "
        "duplicates do no harm",
        lost=sender.lost,
        sent=sender.sent,
    )
