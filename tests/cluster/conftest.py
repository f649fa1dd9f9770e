from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from lakehouse.conf import CLONED
from tests.cluster.seaweedfs import running_store
from tests.cluster.standalone import Cluster, running_cluster
from tests.conftest import FIRST_COMPILER, UNVERIFIED
from tests.loginlake.command_line import Ended, Loginlake, LoginlakeProcess, clean_environment
from tests.waiting import wait_until

CLONE = Path(__file__).parents[2]
SECONDS = 900.0
# Of spark-cluster.conf, which is for larger machines and lakes.
SMALL = {
    "spark.driver.memory": "1g",
    "spark.executor.memory": "1g",
    "spark.executor.extraJavaOptions": f"{UNVERIFIED} {FIRST_COMPILER} -XX:+UseSerialGC",
    "spark.sql.shuffle.partitions": "4",
    "spark.databricks.delta.snapshotPartitions": "2",
}


@dataclass(frozen=True)
class Machine:
    """A machine that runs commands on a lake on S3: a STATE of its own, and the environment of its commands."""

    folder: Path
    environment: dict[str, str]

    def job(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command that starts Spark, as a process, to its end."""
        return LoginlakeProcess(self.folder, self.environment)(*words, timeout=SECONDS)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a command as the leader of a process group."""
        return self._start("-m", "loginlake", *words)

    @contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command as a service for the block; its exit code must be 0 after SIGTERM."""
        log = self.folder / f"{words[0]}.log"
        with log.open("wb") as output:
            process = self._start("-m", "loginlake", *words, output=output.fileno())
            try:
                yield process
            finally:
                process.terminate()
                process.wait(120)
        assert process.returncode == 0, log.read_text()

    def start_driver(self, *steps: str) -> subprocess.Popen[bytes]:
        """Start a driver of `tests.cluster.driver` as the leader of a process group."""
        return self._start("-m", "tests.cluster.driver", *steps)

    def driver(self, *steps: str) -> None:
        """Run a driver to its end, which must be a success."""
        process = self.start_driver(*steps)
        try:
            output, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
        assert process.returncode == 0, output.decode()

    @contextmanager
    def driver_session(self) -> Iterator[Callable[..., None]]:
        """Run a driver for the block and yield a function that runs steps in it; all must succeed."""
        log, sent = self.folder / "driver.log", 0
        with log.open("wb") as output:
            process = self._start("-m", "tests.cluster.driver", input_=subprocess.PIPE, output=output.fileno())
        assert process.stdin is not None
        lines = process.stdin

        def run(*steps: str) -> None:
            nonlocal sent
            sent += len(steps)
            lines.write("".join(f"{step}\n" for step in steps).encode())
            lines.flush()
            wait_until(lambda: process.poll() is not None or has_ended(), seconds=SECONDS)
            assert has_ended(), log.read_text()

        def has_ended() -> bool:
            return log.read_text().count(" has ended\n") == sent

        try:
            yield run
            lines.close()
            assert process.wait(SECONDS) == 0, log.read_text()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def read(self, *words: str) -> Ended:
        """Run a command that needs no Spark, in this process."""
        return Loginlake(self.folder, self.environment)(*words)

    def on(self, folder: Path, **environment: str) -> Machine:
        """Return another machine on the same lake."""
        folder.mkdir()
        ours = {"LOGINLAKE_STATE": str(folder / "state")} | environment
        return Machine(folder, self.environment | ours)

    def _start(
        self, *words: str, input_: int = subprocess.DEVNULL, output: int = subprocess.PIPE
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, *words],
            env=clean_environment(**self.environment) | {"PYTHONPATH": str(CLONE)},
            cwd=self.folder,
            stdin=input_,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@pytest.fixture(scope="package")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of the clients of a running store."""
    with running_store(tmp_path_factory.mktemp("store") / "weed") as environment:
        yield environment


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Spark cluster with two workers."""
    with running_cluster(tmp_path_factory.mktemp("cluster") / "spark") as running:
        yield running


@pytest.fixture(scope="package")
def cluster_environment(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of commands whose jobs run on the cluster."""
    conf = Path(shutil.copytree(CLONED, tmp_path_factory.mktemp("small") / "conf"))
    file = conf / "spark-cluster.conf"
    for name, value in SMALL.items():
        file.write_text(re.sub(rf"(?m)^({re.escape(name)} +).*$", rf"\g<1>{value}", file.read_text()))
    return {"LOGINLAKE_SPARK_MASTER": cluster.master, "LOGINLAKE_CONF": str(conf), "SPARK_LOCAL_IP": "127.0.0.1"}


@pytest.fixture
def machine(store: dict[str, str], kafka: str, tmp_path: Path) -> Machine:
    """A machine with an empty lake on S3, and a topic of its own."""
    return new_machine(store, kafka, tmp_path)


def new_machine(store: dict[str, str], kafka: str, folder: Path, **environment: str) -> Machine:
    """Return a machine with an empty lake on S3, and a topic of its own."""
    name = uuid4().hex[:8]
    ours = {
        "LOGINLAKE_ROOT": f"s3://lake/{name}",
        "LOGINLAKE_STATE": str(folder / "state"),
        "LOGINLAKE_KAFKA": kafka,
        "LOGINLAKE_TOPIC": f"logs-{name}",
        "LOGINLAKE_TOPIC_PARTITIONS": "2",
    }
    return Machine(folder, store | ours | environment)
