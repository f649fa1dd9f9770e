"""The broker, Spark session and lake that a notebook starts for itself, in a temporary folder."""

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

# Enough for rows of every verdict and metric, and few enough to read.
USERS = 100
NOISE = 0.1
SEED = 1


@contextmanager
def notebook_settings(lake: str | None) -> Iterator[Settings]:
    """Yield the settings of a lake and its broker.

    Args:
        lake: The folder of a lake, with the folder `state` beside it; a relative path begins at the folder of the
            notebooks. None makes a new lake and broker in a temporary folder that is removed when the block ends.
    """
    if lake is not None:
        root = (Path(__file__).parent / lake).resolve()
        yield load_settings(root=str(root), state=root.parent / "state")
        return
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
    """Yield the lake of the settings, with its embedded broker and Spark running until the block ends.

    Raises:
        PortTaken: Another process already listens at `settings.kafka`.
        JavaMissing, JarsMissing, BrokerFailed: The broker or Spark can't be started.
    """
    from lakehouse.lake import Lake
    from lakehouse.session import spark_session

    # A notebook shows its own results, so only warnings and errors of the jobs are logged.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with embedded_broker(settings):
        spark = spark_session(settings, job="notebook")
        try:
            yield Lake(spark, settings)
        finally:
            spark.stop()


def produce(settings: Settings, *, events: int) -> int:
    """Send generated records of the last day, some of them noise, and return how many Kafka has acknowledged.

    The users are the same in every call; the events differ, since they depend on the time of the call.
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
