"""Records into Kafka: idempotent, batched, and counted until the broker has them all."""

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

Progress: TypeAlias = Callable[[int], None]

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
    # What a broker takes by default; a little more than the client's own default.
    "message.max.bytes": 1_048_588,
    # What is wrong is said once, as an error, and not by the library on its own.
    "log_level": 0,
}
# What one record can be refused for while the next one is fine.
OWN_FAULTS = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD})


def publish(
    records: Iterable[Record],
    settings: Settings,
    *,
    ledger: BinaryIO | None = None,
    progress: Progress | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> int:
    """Sends the records to the settings' topic and waits until the broker has them.

    Args:
        records: What to send, in this order.
        settings: Name the broker and the topic, which is created where it is missing.
        ledger: Gets a JSON line per acknowledged record, an `Entry`.
        progress: Called with the number sent, every thousand records or second, and at the end.
        timeout_seconds: How long the broker may take to acknowledge a record.

    Returns:
        How many were sent; all are acknowledged.

    Raises:
        Undelivered: Some are not; it says how many. Where the broker is gone, the rest is not tried.
        BrokerFailed: The broker does not answer at the start.
    """
    ensure_topic(settings)
    outbox = Outbox(settings, ledger=ledger, timeout_seconds=timeout_seconds)
    try:
        is_all = _send_all(records, outbox, progress=progress or _unseen)
    finally:
        outbox.flush()
    (progress or _unseen)(outbox.sent)
    if outbox.lost:
        raise _undelivered(outbox, settings, is_all=is_all)
    return outbox.sent


class Outbox:
    """An idempotent producer that counts what the broker did not take.

    Attributes:
        sent: Records handed over so far.
        lost: Those of them that the broker refused or did not acknowledge in time.
        fault: Why the last one was lost.
        is_cut_off: True once records are lost for a reason that is not their own.
    """

    def __init__(self, settings: Settings, *, ledger: BinaryIO | None, timeout_seconds: float) -> None:
        self.sent = 0
        self.lost = 0
        self.fault = ""
        self.is_cut_off = False
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
                # Without a ledger nobody asks where a record went: only losses are worth a call.
                "delivery.report.only.error": ledger is None,
            },
        )
        self._produce = self._producer.produce

    def send(self, record: Record) -> None:
        """Queues a record, waiting while the queue is full."""
        self.sent += 1
        report = self._reported if self._ledger is None else partial(self._entered, record)
        while not self.is_cut_off:
            try:
                self._produce(self._topic, record.value, record.key, headers=record.headers, on_delivery=report)
            except BufferError:
                self._wait_for_room()
            except KafkaException as error:
                self._lose(error.args[0])
                return
            else:
                return
        self._lose(KafkaError(KafkaError._MSG_TIMED_OUT))

    def poll(self) -> None:
        """Takes the delivery reports that have come."""
        self._producer.poll(0)

    def flush(self) -> None:
        """Waits for all delivery reports, or until Ctrl-C; what has none by then is lost."""
        ends = monotonic() + self._timeout_seconds + FULL_QUEUE_SECONDS
        # In steps, so that a signal is heard in between.
        with suppress(KeyboardInterrupt):
            while not self._is_interrupted and self._producer.flush(POLL_SECONDS) and monotonic() < ends:
                pass
        if silent := len(self._producer):
            self.lost += silent
            self.fault = "no delivery report"

    def _wait_for_room(self) -> None:
        """Lets the full queue empty a little; Ctrl-C ends that as it ends `flush`, and what is lost is counted."""
        try:
            self._producer.poll(FULL_QUEUE_SECONDS)
        except KeyboardInterrupt:
            self.is_cut_off = self._is_interrupted = True

    def _entered(  # noqa: PLR0917 (librdkafka calls it so)
        self, record: Record, error: KafkaError | None, message: Message
    ) -> None:
        self._reported(error, message)
        if error is None and self._ledger is not None:
            event_id, key = _text(record.event_id), _text(record.key)
            entry = Entry(message.topic(), message.partition(), message.offset(), event_id=event_id, key=key)
            self._ledger.write(msgspec.json.encode(entry) + b"\n")

    def _reported(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._lose(error)

    def _lose(self, error: KafkaError) -> None:
        self.lost += 1
        self.fault = error.str()
        self.is_cut_off = self.is_cut_off or error.code() not in OWN_FAULTS


class Entry(msgspec.Struct, frozen=True):
    """A line of the ledger: where the broker put a record, and what is known of it."""

    topic: str
    partition: int
    offset: int
    event_id: str | None
    key: str | None


def _send_all(records: Iterable[Record], outbox: Outbox, *, progress: Progress) -> bool:
    """Hands the records over, as long as the broker takes any; True where that were all of them."""
    send, due, at_once = outbox.send, POLL_RECORDS, monotonic() + POLL_SECONDS
    for record in records:
        send(record)
        if outbox.sent >= due or monotonic() >= at_once:
            outbox.poll()
            progress(outbox.sent)
            due, at_once = outbox.sent + POLL_RECORDS, monotonic() + POLL_SECONDS
            if outbox.is_cut_off:
                return False
    return True


def _text(name: bytes | None) -> str | None:
    return None if name is None else name.decode(errors="replace")


def _unseen(_sent: int) -> None:
    """Progress that nobody watches."""


def _undelivered(outbox: Outbox, settings: Settings, *, is_all: bool) -> Undelivered:
    rest = "" if is_all else "; what comes after them was not tried"
    return Undelivered(
        f"{outbox.lost} of {outbox.sent} records were not delivered to {settings.topic!r} at {settings.kafka}: "
        f"{outbox.fault}{rest}",
        hint="See that the broker runs and takes records of that size, and send the same ones again: copies do no harm",
        lost=outbox.lost,
        sent=outbox.sent,
    )
