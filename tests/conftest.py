"""What tests of several layers share: one Spark session, one broker, and a lake and a topic for each test."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from lakehouse.settings import Settings
from loginlake.broker import embedded_broker

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.spark import Lake


def a_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    from lakehouse.spark import spark_session

    session = spark_session(Settings(state=tmp_path_factory.mktemp("spark"), _env_file=None), job="tests")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The servers of a broker that all tests share, each with a topic of its own."""
    settings = Settings(state=tmp_path_factory.mktemp("broker"), kafka=f"127.0.0.1:{a_free_port()}", _env_file=None)
    with embedded_broker(settings) as broker:
        yield broker.servers


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    """An empty lake, with no broker."""
    from lakehouse.spark import Lake

    return Lake(spark, Settings(root=str(tmp_path / "lake"), state=tmp_path / "state", _env_file=None))


@pytest.fixture
def fed_lake(spark: SparkSession, kafka: str, tmp_path: Path) -> Lake:
    """An empty lake that a topic of its own feeds."""
    from lakehouse.spark import Lake

    settings = Settings(
        root=str(tmp_path / "lake"),
        state=tmp_path / "state",
        kafka=kafka,
        topic=f"logs-{uuid4().hex[:8]}",
        topic_partitions=2,
        _env_file=None,
    )
    return Lake(spark, settings)
