"""`produce generate` compared with a plain confluent-kafka loop that sends the same bytes, in one run, on new topics.

    python benchmarks/produce.py --events 200000

The plain loop builds its records before its clock starts; `produce generate` generates, encodes and counts them while
it sends. Both use the same client options, on an embedded broker unless `--kafka` names one. They run several times in
turn; the fastest run of each counts.
"""

from __future__ import annotations

import argparse
import uuid
from collections.abc import Callable

from confluent_kafka import Producer
from harness import empty_lake, print_table, seconds_of

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
    """Print the table."""
    arguments = _arguments()
    records = list(_stream(arguments.events))
    plain, ours = [], []
    with empty_lake(arguments.kafka) as settings:
        for _ in range(arguments.rounds):
            plain.append(_seconds(settings, lambda fresh: _plain_loop(records, fresh)))
            ours.append(_seconds(settings, lambda fresh: publish(_stream(arguments.events), fresh)))
    _print(records, plain=min(plain), ours=min(ours))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kafka", help="use this running broker instead of an embedded one")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _stream(events: int) -> Stream:
    return batch(PLAN, events=events, end=WEEK_END)


def _seconds(settings: Settings, send: Callable[[Settings], object]) -> float:
    fresh = settings.model_copy(update={"topic": f"bench-{uuid.uuid4().hex[:8]}"})
    ensure_topic(fresh)
    return seconds_of(lambda: send(fresh))


def _plain_loop(records: list[Record], settings: Settings) -> None:
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
        raise SystemExit("the plain loop left records undelivered")


def _print(records: list[Record], *, plain: float, ours: float) -> None:
    count, megabytes = len(records), sum(len(record.value or b"") for record in records) / 1e6
    rows = [("plain loop", count, megabytes, plain, count / plain, "", "")]
    rows.append(("generate", count, megabytes, ours, count / ours, plain / ours, f"≥ {GOAL:.2f}"))
    print_table(("produce", "records", "MB", "seconds", "records/s", "ratio", "goal"), rows)


if __name__ == "__main__":
    main()
