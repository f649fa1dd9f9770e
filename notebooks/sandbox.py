"""What the notebooks start: a broker, Spark and a lake of their own, in a temporary folder."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import structlog

from lakehouse.settings import Settings, load_settings
from loginlake.broker import embedded_broker
from producer.events import millis_of

if TYPE_CHECKING:
    from lakehouse.lake import Lake

# Enough for every verdict and every metric to have rows, and few enough to read.
USERS = 100
NOISE = 0.1
SEED = 1


@contextmanager
def sandbox_settings() -> Iterator[Settings]:
    """Settings of a lake and a broker that nobody else has, in a folder that is removed at the end of the block."""
    with TemporaryDirectory(prefix="loginlake-") as folder:
        yield load_settings(
            root=f"{folder}/lake",
            state=Path(folder) / "state",
            kafka=f"127.0.0.1:{_free_port()}",
            kafka_options={},
            bronze_trigger_seconds=1.0,
        )


@contextmanager
def running_lake(settings: Settings) -> Iterator[Lake]:
    """The lake that the settings name, with its embedded broker and Spark running for the block.

    Raises:
        PortTaken: Something listens at `settings.kafka` already.
        JavaMissing, JarsMissing, BrokerFailed: A part can't be started.
    """
    from lakehouse.lake import Lake
    from lakehouse.session import spark_session

    # A lesson shows what it does; of the jobs' own logs, only what went wrong is worth a reader's time.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with embedded_broker(settings):
        spark = spark_session(settings, job="notebook")
        try:
            yield Lake(spark, settings)
        finally:
            spark.stop()


def produce(settings: Settings, *, events: int) -> int:
    """Sends so many generated records of the last day, some of them noise, and gives how many Kafka has acknowledged.

    The users are the same each time; the events are others, since they hang on the instant of the call.
    """
    from producer.generate import Plan, batch
    from producer.publish import publish

    now = datetime.now(UTC)
    plan = Plan(SEED, millis_of(now - timedelta(days=1)), users=USERS, noise=NOISE)
    return publish(batch(plan, events=events, end=millis_of(now)), settings)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
