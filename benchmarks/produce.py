"""`produce generate` against a bare confluent-kafka loop that sends the same bytes, in one run, on fresh topics.

    python benchmarks/produce.py --events 200000

The bare loop has its records built before its clock starts; ours generates, encodes and counts them while sending.
Both use the same client options, on an embedded broker of their own unless `--kafka` names one. Each runs several
times in turn, and the best of each counts.
"""

from __future__ import annotations

import argparse
import uuid
from collections.abc import Callable

from confluent_kafka import Producer
from stand import own_broker, print_table, seconds_of

from lakehouse.kafka import client_options, ensure_topic
from lakehouse.settings import Settings
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
    with own_broker(wanted.kafka) as settings:
        for _ in range(wanted.rounds):
            bare.append(_seconds(settings, lambda fresh: _bare_loop(records, fresh)))
            ours.append(_seconds(settings, lambda fresh: publish(_stream(wanted.events), fresh)))
    _print(records, bare=min(bare), ours=min(ours))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kafka", help="a broker that runs, instead of one of our own")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _stream(events: int) -> Stream:
    return batch(PLAN, events=events, end=WEEK_END)


def _seconds(settings: Settings, send: Callable[[Settings], object]) -> float:
    fresh = settings.model_copy(update={"topic": f"bench-{uuid.uuid4().hex[:8]}"})
    ensure_topic(fresh)
    return seconds_of(lambda: send(fresh))


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


def _print(records: list[Record], *, bare: float, ours: float) -> None:
    count, megabytes = len(records), sum(len(record.value or b"") for record in records) / 1e6
    rows = [("bare loop", count, megabytes, bare, count / bare, "", "")]
    rows.append(("generate", count, megabytes, ours, count / ours, bare / ours, f"≥ {GOAL:.2f}"))
    print_table(("produce", "records", "MB", "seconds", "records/s", "ratio", "goal"), rows)


if __name__ == "__main__":
    main()
