"""`produce generate` against a bare confluent-kafka loop that sends the same bytes, in one run, on fresh topics.

    python benchmarks/produce.py --events 200000

The bare loop has its records built before its clock starts; ours generates, encodes and counts them while sending.
Both use the same client options, on an embedded broker of their own unless `--kafka` names one. Each runs several
times in turn, and the best of each counts.
"""

from __future__ import annotations

import argparse
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from confluent_kafka import Producer

from lakehouse.kafka import client_options, ensure_topic
from lakehouse.settings import Settings, load_settings
from loginlake.broker import embedded_broker
from producer.events import DAY_SECONDS, SECOND
from producer.generate import Plan, Stream, batch
from producer.publish import BATCHING, publish
from producer.records import Record

PLAN = Plan(seed=7, start=1_772_323_200 * SECOND)
WEEK_END = PLAN.start + 7 * DAY_SECONDS * SECOND
GOAL = 0.5


def main() -> None:
    """Prints the table."""
    wanted = _arguments()
    records = list(_stream(wanted.events))
    bare, ours = [], []
    with _broker(wanted.kafka) as kafka:
        for _ in range(wanted.rounds):
            bare.append(_seconds(kafka, lambda settings: _bare_loop(records, settings)))
            ours.append(_seconds(kafka, lambda settings: publish(_stream(wanted.events), settings)))
    _print_table(records, bare=min(bare), ours=min(ours))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kafka", help="a broker that runs, instead of one of our own")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


@contextmanager
def _broker(kafka: str | None) -> Iterator[str]:
    if kafka is not None:
        yield kafka
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        kafka = f"127.0.0.1:{probe.getsockname()[1]}"
    with TemporaryDirectory() as state, embedded_broker(load_settings(kafka=kafka, state=Path(state))) as broker:
        yield broker.servers


def _stream(events: int) -> Stream:
    return batch(PLAN, events=events, end=WEEK_END)


def _seconds(kafka: str, send: Callable[[Settings], object]) -> float:
    settings = load_settings(kafka=kafka, topic=f"bench-{uuid.uuid4().hex[:8]}")
    ensure_topic(settings)
    began = time.perf_counter()
    send(settings)
    return time.perf_counter() - began


def _bare_loop(records: list[Record], settings: Settings) -> None:
    producer = Producer(client_options(settings, **BATCHING))
    for record in records:
        while True:
            try:
                producer.produce(settings.topic, record.value, record.key, headers=record.headers)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush():
        raise SystemExit("the bare loop left records undelivered")


def _print_table(records: list[Record], *, bare: float, ours: float) -> None:
    size = sum(len(record.value or b"") for record in records)
    print(f"{'':<12}{'records':>10}{'MB':>8}{'seconds':>9}{'records/s':>11}{'ratio':>7}{'goal':>7}")
    for name, seconds, goal in (("bare loop", bare, ""), ("generate", ours, f"{GOAL:.2f}")):
        rate = len(records) / seconds
        print(
            f"{name:<12}{len(records):>10}{size / 1e6:>8.1f}{seconds:>9.2f}{rate:>11.0f}{bare / seconds:>7.2f}{goal:>7}"
        )


if __name__ == "__main__":
    main()
