"""Which of some Kafka offsets have a record: read again from the broker, however many gaps they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, pairwise

import polars as pl
from confluent_kafka import Consumer, KafkaError, TopicPartition

from lakehouse.errors import BrokerFailed
from lakehouse.kafka import READING, client
from lakehouse.settings import Settings
from loginlake.verify.ranges import Range
from loginlake.verify.scope import POSITION_SCHEMA

# A gap nearer than this is reached sooner by reading on than by another fetch.
NEAR_OFFSETS = 20_000
BATCH = 10_000
PATIENCE_SECONDS = 30.0


def records_within(settings: Settings, gaps: Sequence[Range]) -> pl.DataFrame:
    """The positions in the gaps that have a committed record; the others are of aborted or marker records, or gone.

    Raises:
        BrokerFailed: The broker does not answer, or no longer has an offset.
    """
    frames = [pl.DataFrame(schema=POSITION_SCHEMA)]
    with _consumer(settings) as consumer:
        for (topic, partition), near in groupby(sorted(gaps), key=lambda gap: gap[:2]):
            for run in runs_of(list(near)):
                offsets = pl.Series(sorted(_offsets_of(settings, consumer, run=run)), dtype=pl.Int64)
                at = {"topic": topic, "partition": partition}
                frames.append(pl.DataFrame({**at, "offset": offsets}, schema=POSITION_SCHEMA))
    return pl.concat(frames)


def runs_of(gaps: Sequence[Range]) -> Iterator[list[Range]]:
    """Gaps of one partition, in order, together where one is read on to the next."""
    run = list(gaps[:1])
    for before, after in pairwise(gaps):
        if after.first - before.last > NEAR_OFFSETS:
            yield run
            run = []
        run.append(after)
    yield run


def _offsets_of(settings: Settings, consumer: Consumer, *, run: Sequence[Range]) -> Iterator[int]:
    """The offsets in the gaps of one run that have a record."""
    remaining = iter(run)
    gap = next(remaining, None)
    for offset in _offsets_from(settings, consumer, start=run[0]):
        while gap is not None and offset > gap.last:
            gap = next(remaining, None)
        if gap is None:
            return
        if offset >= gap.first:
            yield offset


def _offsets_from(settings: Settings, consumer: Consumer, *, start: Range) -> Iterator[int]:
    """The offsets of the records from the start of a range to the end of its partition."""
    consumer.assign([TopicPartition(start.topic, start.partition, start.first)])
    while first := consumer.poll(PATIENCE_SECONDS):
        for message in (first, *consumer.consume(BATCH, 0)):
            if message.error() is None:
                yield message.offset()
            elif message.error().code() == KafkaError._PARTITION_EOF:
                return
            else:
                raise _failed(settings, message.error().str())
    raise _failed(settings, f"nothing came within {PATIENCE_SECONDS:g} s")


@contextmanager
def _consumer(settings: Settings) -> Iterator[Consumer]:
    consumer = client(Consumer, settings, **READING)
    try:
        yield consumer
    finally:
        consumer.close()


def _failed(settings: Settings, why: str) -> BrokerFailed:
    return BrokerFailed(
        f"Kafka at {settings.kafka} could not be read again: {why}", hint="See whether the broker is alive, try again"
    )
