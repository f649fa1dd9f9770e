"""What the broker has: the topics of a lake, and whether there is a record at an offset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, pairwise

import polars as pl
from confluent_kafka import Consumer, KafkaError, TopicPartition

from lakehouse import kafka
from lakehouse.addresses import any_server_listens
from lakehouse.errors import BrokerFailed
from lakehouse.kafka import READER_OPTIONS, Bounds, client
from lakehouse.progress import Partition
from lakehouse.settings import Settings
from loginlake.verify.ranges import POSITION_SCHEMA, Range

# Reading on over fewer offsets than this takes less time than another fetch.
READ_ON_OFFSETS = 20_000
BATCH_RECORDS = 10_000
POLL_SECONDS = 30.0


@dataclass(frozen=True)
class Topic:
    """A topic as the broker has it now: its id, and the first and next offset of each partition."""

    id: str
    bounds: Mapping[Partition, Bounds]


def read_topics(settings: Settings, names: Iterable[str]) -> dict[str, Topic] | None:
    """Return those of the named topics that the broker has; None if no broker answers.

    Raises:
        BrokerFailed: LOGINLAKE_KAFKA is not a list of servers.
    """
    if not any_server_listens(settings.kafka):
        return None
    try:
        return {
            name: Topic(kafka.topic_id(each), bounds)
            for name in sorted(names)
            if (bounds := kafka.partition_bounds(each := settings.model_copy(update={"topic": name})))
        }
    # A broker that accepts connections but does not answer is as good as none.
    except BrokerFailed:
        return None


def bounds_of(topics: Mapping[str, Topic]) -> dict[Partition, Bounds]:
    """Return the bounds of every partition of the topics."""
    return {at: bound for topic in topics.values() for at, bound in topic.bounds.items()}


def find_records(settings: Settings, ranges: Sequence[Range]) -> pl.DataFrame:
    """Return the positions in the ranges that have a committed record.

    The other offsets are transaction markers or belong to aborted transactions.

    Raises:
        BrokerFailed: The broker does not answer, or no longer has one of the offsets.
    """
    frames = [pl.DataFrame(schema=POSITION_SCHEMA)]
    with _consumer(settings) as consumer:
        for (topic, partition), of_partition in groupby(sorted(ranges), key=lambda each: each[:2]):
            for group in _nearby(list(of_partition)):
                offsets = pl.Series(sorted(_offsets_within(settings, consumer, ranges=group)), dtype=pl.Int64)
                at = {"topic": topic, "partition": partition}
                frames.append(pl.DataFrame({**at, "offset": offsets}, schema=POSITION_SCHEMA))
    return pl.concat(frames)


def _nearby(ranges: Sequence[Range]) -> Iterator[list[Range]]:
    """Group the sorted ranges of a partition so that reading on from one to the next is cheaper than a new fetch."""
    group = list(ranges[:1])
    for before, after in pairwise(ranges):
        if after.first - before.last > READ_ON_OFFSETS:
            yield group
            group = []
        group.append(after)
    yield group


def _offsets_within(settings: Settings, consumer: Consumer, *, ranges: Sequence[Range]) -> Iterator[int]:
    """Yield the offsets in the ranges that have a record."""
    remaining = iter(ranges)
    current = next(remaining, None)
    for offset in _offsets_from(settings, consumer, start=ranges[0]):
        while current is not None and offset > current.last:
            current = next(remaining, None)
        if current is None:
            return
        if offset >= current.first:
            yield offset


def _offsets_from(settings: Settings, consumer: Consumer, *, start: Range) -> Iterator[int]:
    """Yield the offsets of all records from the start of a range to the end of its partition."""
    consumer.assign([TopicPartition(start.topic, start.partition, start.first)])
    while first := consumer.poll(POLL_SECONDS):
        for message in (first, *consumer.consume(BATCH_RECORDS, 0)):
            if message.error() is None:
                yield message.offset()
            elif message.error().code() == KafkaError._PARTITION_EOF:
                return
            else:
                raise _failed(settings, message.error().str())
    raise _failed(settings, f"no record arrived within {POLL_SECONDS:g} s")


@contextmanager
def _consumer(settings: Settings) -> Iterator[Consumer]:
    consumer = client(Consumer, settings, **READER_OPTIONS)
    try:
        yield consumer
    finally:
        consumer.close()


def _failed(settings: Settings, reason: str) -> BrokerFailed:
    return BrokerFailed(
        f"Records could not be read again from Kafka at {settings.kafka}: {reason}",
        hint="Check that the broker is running, then try again",
    )
