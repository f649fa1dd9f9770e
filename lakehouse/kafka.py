"""What every Kafka client of ours shares: options, the topic and its offsets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, ResourceType

from lakehouse.errors import BrokerFailed
from lakehouse.offsets import Partition
from lakehouse.settings import Settings

Client = TypeVar("Client")

TIMEOUT = 10.0
PAUSE = 0.05
# Reads again what lies at known offsets, and no record of a transaction that is not committed.
READING = {
    "group.id": "loginlake",
    "enable.auto.commit": False,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "enable.partition.eof": True,
    "log_level": 0,
}


@dataclass(frozen=True)
class Bounds:
    """Where a partition's records begin and where the committed ones end: `[beginning, end)`."""

    beginning: int
    end: int


def client_options(settings: Settings, **more: Any) -> dict[str, Any]:
    """Options of a librdkafka client: the servers, SASL and TLS, and `more`."""
    secrets = {name: value.get_secret_value() for name, value in settings.kafka_options.items()}
    return {"bootstrap.servers": settings.kafka, **secrets, **more}


def spark_options(settings: Settings) -> dict[str, str]:
    """The same options for Spark's Kafka source, which hands `kafka.…` on to the Java client."""
    secrets = {name: value.get_secret_value() for name, value in settings.kafka_options.items()}
    user, password = secrets.pop("sasl.username", None), secrets.pop("sasl.password", None)
    ca = secrets.pop("ssl.ca.location", None)
    if user is not None:
        module = "scram.ScramLoginModule" if "SCRAM" in secrets.get("sasl.mechanism", "") else "plain.PlainLoginModule"
        secrets["sasl.jaas.config"] = (
            f"org.apache.kafka.common.security.{module} required username={_quoted(user)} password={_quoted(password)};"
        )
    if ca is not None:
        secrets |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": ca}
    return {"kafka.bootstrap.servers": settings.kafka, **{f"kafka.{name}": value for name, value in secrets.items()}}


def client(kind: Callable[[dict[str, Any]], Client], settings: Settings, **more: Any) -> Client:
    """A librdkafka client of that kind; it connects when first asked.

    Raises:
        BrokerFailed: An option has a value that is none.
    """
    try:
        return kind(client_options(settings, **more))
    except KafkaException as error:
        raise BrokerFailed(
            f"No Kafka client can be made: {error.args[0].str()}",
            hint="Correct LOGINLAKE_KAFKA_OPTIONS",
            kafka=settings.kafka,
        ) from error


def admin_client(settings: Settings) -> AdminClient:
    """An admin client of the broker."""
    return client(AdminClient, settings, log_level=0)


def require_broker(settings: Settings) -> None:
    """Raise if no broker answers at LOGINLAKE_KAFKA; nothing is created.

    Raises:
        BrokerFailed: The broker does not answer or refuses.
    """
    _topics(admin_client(settings), settings)


def ensure_topic(settings: Settings) -> None:
    """Creates the topic where it is missing; its timestamps are set by the broker.

    Raises:
        BrokerFailed: The broker does not answer or refuses.
    """
    admin = admin_client(settings)
    if settings.topic in _topics(admin, settings):
        return
    topic = NewTopic(
        settings.topic,
        num_partitions=settings.topic_partitions,
        config={"message.timestamp.type": "LogAppendTime"},
    )
    try:
        _answer(settings, admin.create_topics([topic])[settings.topic])
    except BrokerFailed:
        if settings.topic not in _topics(admin, settings):  # else another process was quicker by a moment
            raise
    # What the controller has created its brokers know a moment later.
    deadline = time.monotonic() + TIMEOUT
    while settings.topic not in _topics(admin, settings):
        if time.monotonic() > deadline:
            raise _without_topic(settings)
        time.sleep(PAUSE)


def topic_id(settings: Settings) -> str:
    """The id the broker gave the topic when it was created; a recreated topic has another.

    Raises:
        BrokerFailed: The broker does not answer, or has no such topic.
    """
    admin = admin_client(settings)
    if settings.topic not in _topics(admin, settings):
        raise _without_topic(settings)
    described = admin.describe_topics(TopicCollection([settings.topic]))[settings.topic]
    return str(_answer(settings, described).topic_id)


def partition_bounds(settings: Settings) -> dict[Partition, Bounds]:
    """Beginning and last stable offset of every partition of the topic; empty without the topic.

    Raises:
        BrokerFailed: The broker does not answer.
    """
    admin = admin_client(settings)
    topic = _topics(admin, settings).get(settings.topic)
    if topic is None:
        return {}
    at = [TopicPartition(settings.topic, partition) for partition in topic.partitions]
    beginnings = _listed(admin, settings, at=at, spec=OffsetSpec.earliest())
    ends = _listed(admin, settings, at=at, spec=OffsetSpec.latest())
    return {partition: Bounds(beginnings[partition], ends[partition]) for partition in sorted(ends)}


@dataclass(frozen=True)
class Record:
    """A record that is there: its offset and when it was appended, in milliseconds since the epoch."""

    offset: int
    appended_ms: int


def first_record(settings: Settings, at: Partition, *, start: int, end: int, timeout: float = TIMEOUT) -> Record | None:
    """The first committed record of a partition in `[start, end)`, None where there is none.

    Offsets without a record are normal: markers of transactions, and records of aborted ones.

    Raises:
        BrokerFailed: The broker does not answer in time, or no longer has `start`.
    """
    consumer = client(Consumer, settings, **READING)
    try:
        consumer.assign([TopicPartition(*at, start)])
        message = consumer.poll(timeout)
        if message is None:
            raise BrokerFailed(
                f"Kafka at {settings.kafka} sent nothing within {timeout:g} s",
                hint="See whether the broker is alive, then try again",
            )
        if message.error() and message.error().code() == KafkaError._PARTITION_EOF:
            return None
        if message.error():
            raise _broker_failed(settings, KafkaException(message.error()))
        offset: int = message.offset()
        return Record(offset, message.timestamp()[1]) if offset < end else None
    finally:
        consumer.close()


def timestamp_type(settings: Settings) -> str:
    """`LogAppendTime` where the broker stamps the records, else `CreateTime`."""
    admin = admin_client(settings)
    resource = ConfigResource(ResourceType.TOPIC, settings.topic)
    configs = _answer(settings, admin.describe_configs([resource])[resource])
    return str(configs["message.timestamp.type"].value)


def _listed(
    admin: AdminClient, settings: Settings, *, at: Iterable[TopicPartition], spec: OffsetSpec
) -> dict[Partition, int]:
    futures = admin.list_offsets(
        dict.fromkeys(at, spec), isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=TIMEOUT
    )
    return {(p.topic, p.partition): _answer(settings, future).offset for p, future in futures.items()}


def _answer(settings: Settings, asked: Future[Any]) -> Any:
    """What the broker answers.

    Raises:
        BrokerFailed: It refuses, or does not answer in time.
    """
    try:
        return asked.result(TIMEOUT)
    except KafkaException as error:
        raise _broker_failed(settings, error) from error
    except TimeoutError as error:
        raise BrokerFailed(
            f"Kafka at {settings.kafka} did not answer within {TIMEOUT:g} s",
            hint="See whether the broker is alive, then try again",
            kafka=settings.kafka,
        ) from error


def _topics(admin: AdminClient, settings: Settings) -> dict[str, Any]:
    try:
        return dict(admin.list_topics(timeout=TIMEOUT).topics)
    except KafkaException as error:
        raise _broker_failed(settings, error) from error


def _without_topic(settings: Settings) -> BrokerFailed:
    return BrokerFailed(
        f"The broker at {settings.kafka} has no topic {settings.topic!r}",
        hint="Send something with `loginlake produce`, which creates it, or correct LOGINLAKE_TOPIC",
        topic=settings.topic,
    )


def _broker_failed(settings: Settings, error: KafkaException) -> BrokerFailed:
    return BrokerFailed(
        f"Kafka at {settings.kafka} does not answer as it should: {error.args[0].str()}",
        hint="Start one with `loginlake broker`, or correct LOGINLAKE_KAFKA",
        kafka=settings.kafka,
    )


def _quoted(text: str | None) -> str:
    return '"' + (text or "").replace("\\", "\\\\").replace('"', '\\"') + '"'
