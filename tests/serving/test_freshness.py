"""How far an answer lies behind the broker; librdkafka's mock broker speaks the real protocol."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Producer

from lakehouse.progress import Offsets
from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot
from serving.freshness import BrokerLag
from tests.serving.conftest import wait_until

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)

StartLag = Callable[[], BrokerLag]


def a_snapshot(offsets: Offsets) -> Snapshot:
    return Snapshot(1, NOW, versions={}, offsets=offsets, last_event_at=None, last_append_at=None, enrichment={})


@pytest.fixture
def broker() -> Producer:
    return Producer({"test.mock.num.brokers": 1})


@pytest.fixture
def start_lag(broker: Producer) -> Iterator[StartLag]:
    """Start polling the mock broker."""
    address = next(iter(broker.list_topics(timeout=10).brokers.values()))
    started: list[BrokerLag] = []

    def start() -> BrokerLag:
        settings = Settings(kafka=f"{address.host}:{address.port}", _env_file=None)
        started.append(BrokerLag(settings, lambda: NOW))
        started[-1].start()
        return started[-1]

    yield start
    for lag in started:
        lag.stop()


def send(broker: Producer, *ages: int) -> None:
    """Send one record per age in seconds to partition 0."""
    for age in ages:
        appended = NOW - timedelta(seconds=age)
        broker.produce("logs", b"{}", partition=0, timestamp=int(appended.timestamp() * 1000))
    assert broker.flush(10) == 0


def test_behind_is_the_age_of_the_first_record_that_is_not_covered(broker: Producer, start_lag: StartLag) -> None:
    send(broker, 30, 20, 10)

    freshness = start_lag().freshness(a_snapshot({("logs", 0): 1}))

    assert freshness.behind_seconds == 20
    assert freshness.members()["complete"] is True


def test_a_record_whose_timestamp_is_out_of_the_calendar_is_not_behind(broker: Producer, start_lag: StartLag) -> None:
    broker.produce("logs", b"{}", partition=0, timestamp=1_772_000_000_000_000)
    assert broker.flush(10) == 0

    assert start_lag().freshness(a_snapshot({})).behind_seconds == 0


def test_behind_is_zero_where_every_record_is_covered(broker: Producer, start_lag: StartLag) -> None:
    send(broker, 30, 20)
    lag = start_lag()

    assert lag.freshness(a_snapshot({("logs", 0): 2})).behind_seconds == 0
    assert lag.ends()[("logs", 0)] == 2


def test_behind_is_unknown_where_the_lake_has_read_beyond_the_end_of_the_broker(
    broker: Producer, start_lag: StartLag
) -> None:
    send(broker, 30)

    assert start_lag().freshness(a_snapshot({("logs", 0): 5})).behind_seconds is None


def test_behind_is_unknown_without_a_broker() -> None:
    lag = BrokerLag(Settings(kafka="127.0.0.1:9", _env_file=None), lambda: NOW)
    lag.start()
    try:
        assert lag.freshness(a_snapshot({("logs", 0): 5})).behind_seconds is None
        assert lag.ends() is None
    finally:
        lag.stop()


def test_behind_is_unknown_with_options_that_no_client_accepts_and_polling_continues() -> None:
    options = {"security.protocol": "nope"}
    lag = BrokerLag(Settings(kafka="127.0.0.1:9", kafka_options=options, _env_file=None), lambda: NOW)
    lag.start()
    try:
        assert lag.freshness(a_snapshot({("logs", 0): 5})).behind_seconds is None
        assert "broker-poll" in {thread.name for thread in threading.enumerate()}
    finally:
        lag.stop()


def test_behind_stays_at_the_first_record_while_more_arrive(broker: Producer, start_lag: StartLag) -> None:
    send(broker, 30, 20)
    lag = start_lag()
    before = lag.freshness(a_snapshot({("logs", 0): 1})).behind_seconds

    send(broker, 10)
    wait_until(lambda: lag.ends()[("logs", 0)] == 3, seconds=10)

    assert lag.freshness(a_snapshot({("logs", 0): 1})).behind_seconds == before == 20
