"""A Kafka broker inside this process: the mock broker of librdkafka."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from lakehouse.kafka import client_options
from lakehouse.settings import Settings, load_settings

PARTITIONS = 4


class MockKafka:
    """A broker that runs until it is closed. It refuses to create topics, but has those that a client asked for."""

    def __init__(self) -> None:
        self._owner: Producer | None = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        (broker,) = self._owner.list_topics(topic="logs", timeout=10).brokers.values()
        self.settings = load_settings(kafka=f"{broker.host}:{broker.port}", topic="logs")

    def close(self) -> None:
        self._owner = None

    def messages(self, count: int) -> list[Message]:
        """Return `count` messages, in order per partition; fewer if none arrives for ten seconds."""
        return read(self.settings, count)

    def count(self) -> int:
        """Return how many messages the topic has."""
        consumer = Consumer(client_options(self.settings, **{"group.id": "test", "log_level": 0}))
        try:
            ends = [
                consumer.get_watermark_offsets(TopicPartition(self.settings.topic, partition), timeout=10.0)[1]
                for partition in range(PARTITIONS)
            ]
        finally:
            consumer.close()
        return sum(ends)


def read(settings: Settings, count: int) -> list[Message]:
    """Return `count` messages of the topic from its start; fewer if none arrives for ten seconds."""
    options = {"group.id": "test", "enable.auto.commit": False, "auto.offset.reset": "error", "log_level": 0}
    consumer = Consumer(client_options(settings, **options))
    consumer.assign([TopicPartition(settings.topic, partition, 0) for partition in range(PARTITIONS)])
    messages: list[Message] = []
    try:
        while len(messages) < count and (more := consumer.consume(count - len(messages), timeout=10.0)):
            assert [message.error() for message in more if message.error()] == []
            messages += more
    finally:
        consumer.close()
    return messages


@pytest.fixture
def mock_kafka() -> Iterator[MockKafka]:
    mock = MockKafka()
    yield mock
    mock.close()
