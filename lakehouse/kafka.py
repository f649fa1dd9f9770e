"""Kafka for all layers: the options of clients, the topic, and its offsets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, ResourceType

from lakehouse.errors import BrokerFailed, TopicChanged
from lakehouse.progress import Partition
from lakehouse.settings import Settings
from lakehouse.waiting import wait_until

Client = TypeVar("Client")

TIMEOUT = 10.0
# Options of a consumer that reads from given offsets, and only records of committed transactions.
READER_OPTIONS = {
    "group.id": "loginlake",
    "enable.auto.commit": False,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "enable.partition.eof": True,
    "log_level": 0,
}


@dataclass(frozen=True)
class Bounds:
    """The offsets `[beginning, end)` of a partition: of its first record, and after its last committed one."""

    beginning: int
    end: int


def client_options(settings: Settings, **more: Any) -> dict[str, Any]:
    """Return the options of a librdkafka client: the servers, SASL and TLS, and `more`."""
    secrets = {name: value.get_secret_value() for name, value in settings.kafka_options.items()}
    return {"bootstrap.servers": settings.kafka, **secrets, **more}


def spark_options(settings: Settings) -> dict[str, str]:
    """Return the same options for Spark's Kafka source, which passes `kafka.…` to the Java client."""
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
    """Return a librdkafka client of a kind; it connects on first use.

    Raises:
        BrokerFailed: An option has an invalid value.
    """
    try:
        return kind(client_options(settings, **more))
    except KafkaException as error:
        raise BrokerFailed(
            f"The Kafka client can't be created: {error.args[0].str()}",
            hint="Correct LOGINLAKE_KAFKA_OPTIONS",
            kafka=settings.kafka,
        ) from error


def admin_client(settings: Settings) -> AdminClient:
    """Return an admin client of the broker."""
    return client(AdminClient, settings, log_level=0)


def ensure_topic(settings: Settings) -> None:
    """Create the topic if it is missing; the broker sets the timestamps of its records.

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
        if settings.topic not in _topics(admin, settings):  # otherwise another process has just created it
            raise
    _wait_for_topic(admin, settings)


def topic_id(settings: Settings) -> str:
    """Return the id that the broker gave the topic when it was created; a recreated topic has another.

    Raises:
        BrokerFailed: The broker does not answer, or does not have the topic.
    """
    admin = admin_client(settings)
    if settings.topic not in _topics(admin, settings):
        raise _topic_missing(settings)
    described = admin.describe_topics(TopicCollection([settings.topic]))[settings.topic]
    return str(_answer(settings, described).topic_id)


def require_topic_id(settings: Settings, recorded: str) -> None:
    """Raise if the broker's topic has another id than the one that bronze was read from.

    Raises:
        TopicChanged: It has another id.
        BrokerFailed: The broker does not answer, or does not have the topic.
    """
    current = topic_id(settings)
    if recorded != current:
        raise TopicChanged(
            f"Topic {settings.topic!r} has id {current}, but bronze was read from the one with id {recorded}",
            hint="Set LOGINLAKE_KAFKA to the broker of this lake, or start a new lake with LOGINLAKE_ROOT",
            recorded=recorded,
            current=current,
        )


def has_topic(settings: Settings) -> bool:
    """Return True if the broker has the topic.

    Raises:
        BrokerFailed: The broker does not answer or refuses.
    """
    return settings.topic in _topics(admin_client(settings), settings)


def partition_bounds(settings: Settings) -> dict[Partition, Bounds]:
    """Return the first and the last stable offset of each partition of the topic; empty if the topic is missing.

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
    """A record: its offset, and its append time in milliseconds since the epoch."""

    offset: int
    appended_ms: int


def first_record(settings: Settings, at: Partition, *, start: int, end: int, timeout: float = TIMEOUT) -> Record | None:
    """Return the first committed record of a partition in `[start, end)`; None if there is none.

    Offsets without a record are normal: markers of transactions, and records of aborted ones.

    Raises:
        BrokerFailed: The broker does not answer in time, or no longer has `start`.
    """
    consumer = client(Consumer, settings, **READER_OPTIONS)
    try:
        consumer.assign([TopicPartition(*at, start)])
        message = consumer.poll(timeout)
        if message is None:
            raise BrokerFailed(
                f"Kafka at {settings.kafka} sent nothing within {timeout:g} s",
                hint="Check that the broker is running, then try again",
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
    """Return `LogAppendTime` if the broker sets the timestamps of records, else `CreateTime`."""
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


def _wait_for_topic(admin: AdminClient, settings: Settings) -> None:
    """Wait until the brokers know a topic that the controller has just created."""
    if not wait_until(lambda: settings.topic in _topics(admin, settings), seconds=TIMEOUT):
        raise _topic_missing(settings)


def _answer(settings: Settings, request: Future[Any]) -> Any:
    """Return the answer of the broker.

    Raises:
        BrokerFailed: It refuses, or does not answer in time.
    """
    try:
        return request.result(TIMEOUT)
    except KafkaException as error:
        raise _broker_failed(settings, error) from error
    except TimeoutError as error:
        raise BrokerFailed(
            f"Kafka at {settings.kafka} did not answer within {TIMEOUT:g} s",
            hint="Check that the broker is running, then try again",
            kafka=settings.kafka,
        ) from error


def _topics(admin: AdminClient, settings: Settings) -> dict[str, Any]:
    try:
        return dict(admin.list_topics(timeout=TIMEOUT).topics)
    except KafkaException as error:
        raise _broker_failed(settings, error) from error


def _topic_missing(settings: Settings) -> BrokerFailed:
    return BrokerFailed(
        f"The broker at {settings.kafka} has no topic {settings.topic!r}",
        hint="Create it by sending records with `loginlake produce`, or correct LOGINLAKE_TOPIC",
        topic=settings.topic,
    )


def _broker_failed(settings: Settings, error: KafkaException) -> BrokerFailed:
    return BrokerFailed(
        f"Kafka at {settings.kafka} can't be used: {error.args[0].str()}",
        hint="Start a broker with `loginlake broker`, or correct LOGINLAKE_KAFKA",
        kafka=settings.kafka,
    )


def _quoted(text: str | None) -> str:
    return '"' + (text or "").replace("\\", "\\\\").replace('"', '\\"') + '"'
