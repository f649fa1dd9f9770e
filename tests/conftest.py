"""Fixtures for tests of all layers: a shared Spark session, a shared broker, and lakes to read or to change."""

from __future__ import annotations

import random
import shutil
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import hypothesis
import pytest

from lakehouse.conf import CLONED
from lakehouse.settings import Settings
from loginlake.broker import embedded_broker

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.lake import Lake


FEW_ROWS = {
    # For a few rows, generating code for a query and replanning it after each stage cost more time than they save.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "2",
    # Recording the Python call site of each column is a third of the calls to the JVM that such a query makes.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
}
# Verifying the bytecode of Spark's classes is a tenth of a first refresh.
UNVERIFIED = "-XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
# The second compiler does not pay off in a process that ends soon. The code cache gets the size that it has with both.
FIRST_COMPILER = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m"


# An example may take long on a busy machine, and with coverage.
hypothesis.settings.register_profile(
    "busy machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy machine")

# Fixtures that start something expensive; a test that requests one of them, directly or not, gets a mark of that name.
MARKED_FIXTURES = ("spark", "kafka")


@pytest.hookimpl(tryfirst=True)  # before pytest evaluates -m and pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests by the fixtures that they request, and order them for the two workers of `make test`.

    A worker takes file after file. Those with the most tests that need Spark or a broker come first, so that short
    files are left for the end, when one worker may have to wait for the other.
    """
    expensive_tests: Counter[str] = Counter()
    for item in items:
        names = [name for name in MARKED_FIXTURES if name in getattr(item, "fixturenames", ())]
        for name in names:
            item.add_marker(name)
        item.add_marker(pytest.mark.xdist_group(_file_of(item)))
        expensive_tests[_file_of(item)] += bool(names)
    items.sort(key=lambda item: -expensive_tests[_file_of(item)])


def _file_of(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def a_free_port() -> int:
    """Return a port below those that Linux gives to any process: a server that a test restarts finds it free again."""
    while True:
        port = random.randrange(20_000, 32_768)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@pytest.fixture(scope="session", autouse=True)
def settings_for_few_rows() -> Iterator[None]:
    """Start every Spark session, here and in jobs that tests start as processes, with the settings for few rows."""
    arguments = " ".join(f"--conf {name}={value}" for name, value in FEW_ROWS.items())
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYSPARK_SUBMIT_ARGS", f"{arguments} pyspark-shell")
        environment.setenv("SPARK_SUBMIT_OPTS", f"{UNVERIFIED} {FIRST_COMPILER}")
        yield


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A copy of `conf/` that a test may change."""
    return Path(shutil.copytree(CLONED, tmp_path / "conf"))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    from lakehouse.session import spark_session

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SPARK_SUBMIT_OPTS", UNVERIFIED)
        session = spark_session(Settings(state=tmp_path_factory.mktemp("spark"), _env_file=None), job="tests")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a broker that all tests of this worker share; each test uses its own topic."""
    settings = Settings(state=tmp_path_factory.mktemp("broker"), kafka=f"127.0.0.1:{a_free_port()}", _env_file=None)
    with embedded_broker(settings) as broker:
        yield broker.servers


@pytest.fixture(scope="session")
def created(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a lake with empty tables; tests copy it, because creating the tables takes seconds."""
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
    """The folder of a lake whose only row is published; tests copy it, because a refresh takes seconds."""
    from loginlake.pipeline import refresh
    from tests.spark_lakes import FIRST_LOGIN, append_batch, copied

    lake = copied(spark, created, tmp_path_factory.mktemp("refreshed"))
    append_batch(lake, [FIRST_LOGIN])
    refresh(lake)
    return Path(lake.settings.root)


@pytest.fixture
def refreshed_lake(spark: SparkSession, refreshed: Path, tmp_path: Path) -> Lake:
    """A lake with a snapshot of its only row, FIRST_LOGIN; the next batch has the number 1."""
    from tests.spark_lakes import copied

    return copied(spark, refreshed, tmp_path)


@pytest.fixture
def fed_lake(spark: SparkSession, kafka: str, created: Path, tmp_path: Path) -> Lake:
    """A lake without rows, with its own topic of two partitions on the shared broker."""
    from tests.spark_lakes import copied

    return copied(spark, created, tmp_path, kafka=kafka, topic=f"logs-{uuid4().hex[:8]}", topic_partitions=2)
