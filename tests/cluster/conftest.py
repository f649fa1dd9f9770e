from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
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


class Started(NamedTuple):
    """A process that a test has started, and the file of its output."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text()

    def check_end(self, code: int = 0) -> None:
        """Wait until it ends, and check its exit code."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(SECONDS)
        assert self.process.returncode == code, self.output


@dataclass(frozen=True)
class Machine:
    """A machine that runs commands on a lake on S3: a STATE of its own, and the environment of its commands."""

    folder: Path
    environment: dict[str, str]

    def job(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command that starts Spark, as a process, to its end."""
        return LoginlakeProcess(self.folder, self.environment)(*words, timeout=SECONDS)

    @contextmanager
    def command(self, *words: str) -> Iterator[Started]:
        """Start a command for the block."""
        with self._started("-m", "loginlake", *words) as command:
            yield command

    @contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command as a service for the block; its exit code must be 0 after SIGTERM."""
        with self.command(*words) as service:
            yield service.process
            service.process.terminate()
            service.check_end()

    @contextmanager
    def driver(self, *steps: str) -> Iterator[Started]:
        """Start a driver of `tests.cluster.driver` for the block."""
        with self._started("-m", "tests.cluster.driver", *steps) as driver:
            yield driver

    def run_driver(self, *steps: str) -> None:
        """Run a driver to its end, which must be a success."""
        with self.driver(*steps) as driver:
            driver.check_end()

    @contextmanager
    def driver_session(self) -> Iterator[Callable[..., None]]:
        """Run a driver for the block and yield a function that runs steps in it; all must succeed."""
        with self._started("-m", "tests.cluster.driver", input_=subprocess.PIPE) as driver:
            lines, sent = driver.process.stdin, 0
            assert lines is not None

            def run(*steps: str) -> None:
                nonlocal sent
                sent += len(steps)
                with suppress(BrokenPipeError):  # it has died: the output says why
                    lines.write("".join(f"{step}\n" for step in steps).encode())
                    lines.flush()
                wait_until(lambda: driver.process.poll() is not None or has_ended(), seconds=SECONDS)
                assert has_ended(), driver.output

            def has_ended() -> bool:
                return driver.output.count(" has ended\n") >= sent

            with lines:
                yield run
            driver.check_end()

    def read(self, *words: str) -> Ended:
        """Run a command that needs no Spark, in this process."""
        return Loginlake(self.folder, self.environment)(*words)

    def send(self, *, events: int, seed: int = 1) -> None:
        """Send generated events of three days."""
        sent = self.read("produce", "generate", "--events", str(events), "--seed", str(seed), "--days", "3")
        assert sent.returncode == 0, sent.stderr

    def verified(self, *words: str) -> str:
        """Verify the lake and return the report's text."""
        ended = self.read("verify", *words)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def on(self, folder: Path, **environment: str) -> Machine:
        """Return another machine on the same lake."""
        folder.mkdir()
        ours = {"LOGINLAKE_STATE": str(folder / "state")} | environment
        return Machine(folder, self.environment | ours)

    @contextmanager
    def _started(self, *words: str, input_: int = subprocess.DEVNULL) -> Iterator[Started]:
        """Start Python as the leader of a process group for the block, and kill the group if it still runs then."""
        log = self.folder / f"{uuid4().hex}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *words],
                env=clean_environment(**self.environment) | {"PYTHONPATH": str(CLONE)},
                cwd=self.folder,
                stdin=input_,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield Started(process, log)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


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
    with file.open("a") as settings:  # the last value of a setting counts
        settings.writelines(f"{name} {value}\n" for name, value in SMALL.items())
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
