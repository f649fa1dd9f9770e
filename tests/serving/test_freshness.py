"""How far an answer lies behind a broker: librdkafka's own mock broker speaks the real protocol."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Producer

from lakehouse.offsets import Offsets
from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot
from serving.freshness import BrokerLag

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def a_snapshot(offsets: Offsets) -> Snapshot:
    return Snapshot(1, NOW, versions={}, offsets=offsets, last_event_at=None, last_append_at=None, enrichment={})


@pytest.fixture
def broker() -> Producer:
    return Producer({"test.mock.num.brokers": 1})


@pytest.fixture
def watching(broker: Producer) -> Iterator[Callable[[], BrokerLag]]:
    address = next(iter(broker.list_topics(timeout=10).brokers.values()))
    watches: list[BrokerLag] = []

    def watch() -> BrokerLag:
        settings = Settings(kafka=f"{address.host}:{address.port}", _env_file=None)
        watches.append(BrokerLag(settings, lambda: NOW))
        watches[-1].start()
        return watches[-1]

    yield watch
    for started in watches:
        started.stop()


def send(broker: Producer, *ages: int) -> None:
    """One record per age in seconds, to partition 0."""
    for age in ages:
        appended = NOW - timedelta(seconds=age)
        broker.produce("logs", b"{}", partition=0, timestamp=int(appended.timestamp() * 1000))
    assert broker.flush(10) == 0


def test_behind_is_the_age_of_the_first_record_that_is_not_covered(broker: Producer, watching) -> None:
    send(broker, 30, 20, 10)

    freshness = watching().freshness(a_snapshot({("logs", 0): 1}))

    assert freshness.behind_seconds == 20
    assert freshness.members()["complete"] is True


def test_a_record_from_beyond_the_calendar_is_not_behind(broker: Producer, watching) -> None:
    broker.produce("logs", b"{}", partition=0, timestamp=1_772_000_000_000_000)
    assert broker.flush(10) == 0

    assert watching().freshness(a_snapshot({})).behind_seconds == 0


def test_behind_is_zero_where_all_is_covered(broker: Producer, watching) -> None:
    send(broker, 30, 20)
    watch = watching()

    assert watch.freshness(a_snapshot({("logs", 0): 2})).behind_seconds == 0
    assert watch.ends()[("logs", 0)] == 2


def test_behind_is_unknown_where_the_lake_has_read_further_than_the_broker_goes(broker: Producer, watching) -> None:
    send(broker, 30)

    assert watching().freshness(a_snapshot({("logs", 0): 5})).behind_seconds is None


def test_behind_is_unknown_without_a_broker() -> None:
    watch = BrokerLag(Settings(kafka="127.0.0.1:9", _env_file=None), lambda: NOW)
    watch.start()
    try:
        assert watch.freshness(a_snapshot({("logs", 0): 5})).behind_seconds is None
        assert watch.ends() is None
    finally:
        watch.stop()


def test_behind_is_unknown_with_options_that_make_no_client_and_the_watch_goes_on() -> None:
    options = {"security.protocol": "nope"}
    watch = BrokerLag(Settings(kafka="127.0.0.1:9", kafka_options=options, _env_file=None), lambda: NOW)
    watch.start()
    try:
        assert watch.freshness(a_snapshot({("logs", 0): 5})).behind_seconds is None
        assert "broker-poll" in {thread.name for thread in threading.enumerate()}
    finally:
        watch.stop()


def test_behind_stays_at_the_first_record_while_more_arrive(broker: Producer, watching) -> None:
    send(broker, 30, 20)
    watch = watching()
    before = watch.freshness(a_snapshot({("logs", 0): 1})).behind_seconds

    send(broker, 10)
    deadline = time.monotonic() + 10
    while watch.ends()[("logs", 0)] != 3:
        assert time.monotonic() < deadline
        time.sleep(0.1)

    assert watch.freshness(a_snapshot({("logs", 0): 1})).behind_seconds == before == 20
