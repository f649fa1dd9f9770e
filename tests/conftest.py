"""What tests of several layers share: one Spark session, one broker, and a lake and a topic for each test."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from lakehouse.conf import CLONED
from lakehouse.settings import Settings
from loginlake.broker import embedded_broker

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.lake import Lake


# In the session that tests share: for a handful of rows it takes longer to write the code of a query than to interpret
# it, and to plan anew what is left after each stage than that saves.
FEW_ROWS = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "2",
}
# To tell the JVM for each column where in Python it was made is a third of all that such a query asks of it.
NO_CALL_SITES = "--conf spark.python.sql.dataFrameDebugging.enabled=false pyspark-shell"


# Fixtures that start something expensive; a test that requests one of them, directly or not, gets a mark of that name.
MARKED_FIXTURES = ("spark", "kafka")


@pytest.hookimpl(tryfirst=True)  # before pytest evaluates -m and pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests by the fixtures that they request, and order them for the two workers of `make test`.

    A worker takes file after file. Those that need Spark or a broker come first, since they take longest.
    """
    for item in items:
        for name in MARKED_FIXTURES:
            if name in getattr(item, "fixturenames", ()):
                item.add_marker(name)
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
    items.sort(key=lambda item: not any(map(item.get_closest_marker, MARKED_FIXTURES)))


def a_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture(scope="session", autouse=True)
def one_compiler() -> Iterator[None]:
    """Spares jobs that tests start as processes the JVM's second compiler: in their minute it costs more than it gives.

    The code cache is as large as with both.
    """
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m")
        yield


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A copy of `conf/` that a test may change."""
    return Path(shutil.copytree(CLONED, tmp_path / "conf"))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    from lakehouse.session import spark_session

    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("SPARK_SUBMIT_OPTS")
        environment.setenv("PYSPARK_SUBMIT_ARGS", NO_CALL_SITES)
        session = spark_session(Settings(state=tmp_path_factory.mktemp("spark"), _env_file=None), job="tests")
    for name, value in FEW_ROWS.items():
        session.conf.set(name, value)
    yield session
    session.stop()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The servers of a broker that all tests share, each with a topic of its own."""
    settings = Settings(state=tmp_path_factory.mktemp("broker"), kafka=f"127.0.0.1:{a_free_port()}", _env_file=None)
    with embedded_broker(settings) as broker:
        yield broker.servers


@pytest.fixture(scope="session")
def created(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a lake whose tables have just been created: it is copied, since that takes seconds."""
    from gold.job import ensure_tables
    from lakehouse.lake import Lake
    from lakehouse.tables.bronze import RAW_LOGS

    folder = tmp_path_factory.mktemp("created")
    lake = Lake(spark, Settings(root=str(folder / "lake"), state=folder / "state", _env_file=None))
    lake.ensure(RAW_LOGS)
    ensure_tables(lake)
    return folder / "lake"


@pytest.fixture
def lake(spark: SparkSession, created: Path, tmp_path: Path) -> Lake:
    """A lake without rows and without a broker."""
    from tests.spark_lakes import copied

    return copied(spark, created, tmp_path)


@pytest.fixture(scope="session")
def refreshed(spark: SparkSession, created: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a lake whose one row is published: a refresh takes seconds, too."""
    from loginlake.pipeline import refresh
    from tests.spark_lakes import FIRST_LOGIN, append_batch, copied

    lake = copied(spark, created, tmp_path_factory.mktemp("refreshed"))
    append_batch(lake, [FIRST_LOGIN])
    refresh(lake)
    return Path(lake.settings.root)


@pytest.fixture
def refreshed_lake(spark: SparkSession, refreshed: Path, tmp_path: Path) -> Lake:
    """A lake with a snapshot of its one row, FIRST_LOGIN; the next batch is number 1."""
    from tests.spark_lakes import copied

    return copied(spark, refreshed, tmp_path)


@pytest.fixture
def fed_lake(spark: SparkSession, kafka: str, created: Path, tmp_path: Path) -> Lake:
    """A lake without rows that a topic of its own feeds."""
    from tests.spark_lakes import copied

    return copied(spark, created, tmp_path, kafka=kafka, topic=f"logs-{uuid4().hex[:8]}", topic_partitions=2)
