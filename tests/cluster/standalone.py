"""A standalone Spark cluster from the pyspark wheel: a master and workers as processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.compose.conftest import service_named
from tests.conftest import FIRST_COMPILER, UNVERIFIED, a_free_port
from tests.crash.processes import is_port_free
from tests.waiting import wait_until

EXECUTOR = "org.apache.spark.executor.CoarseGrainedExecutorBackend"
OURS = ("AWS_", "LOGINLAKE_", "PYSPARK_", "SPARK_")
OF_THIS_MACHINE = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_JAVA_OPTS": f"{UNVERIFIED} {FIRST_COMPILER}"}
WORKERS = 2
LOG = "daemon.log"
REGISTERED = "Successfully registered with master"


class Cluster:
    """A running cluster.

    Attributes:
        master: The URL of its master.
    """

    def __init__(self, folder: Path, daemons: ExitStack) -> None:
        self._folder = folder
        self._daemons = daemons
        port = a_free_port()
        self._address = f"127.0.0.1:{port}"
        self.master = f"spark://{self._address}"
        self._workers: list[subprocess.Popen[bytes]] = []
        process = self._start("spark-master", "master", "--port", str(port))
        wait_until(lambda: not is_port_free(port), process, seconds=60)
        self.start_missing_workers()

    def start_missing_workers(self) -> None:
        """Start a worker for each one that was killed, and wait until the master knows them."""
        running = sum(worker.poll() is None for worker in self._workers)
        names = [f"worker-{number}" for number in range(len(self._workers), len(self._workers) + WORKERS - running)]
        started = [self._start("spark-worker", name, "--host", "127.0.0.1") for name in names]
        self._workers += started
        logs = [self._folder / name / LOG for name in names]
        wait_until(lambda: all(REGISTERED in log.read_text() for log in logs), *started, seconds=60)

    def workers_of_applications(self) -> dict[str, int]:
        """Return for each application the number of workers that have run an executor of it."""
        applications = [folder.name for folder in self._folder.glob("worker-*/app-*")]
        return {name: applications.count(name) for name in applications}

    def _start(self, service: str, name: str, *options: str) -> subprocess.Popen[bytes]:
        return self._daemons.enter_context(_daemon(service, self._folder / name, self._address, *options))


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Run the master and two workers of the compose file for the block."""
    folder.mkdir()
    with ExitStack() as daemons:
        yield Cluster(folder, daemons)


@contextmanager
def _daemon(name: str, folder: Path, master: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir()
    service = service_named(name)
    program, main, *words = service["command"]
    words = [word.replace("spark-master:7077", master).replace("spark-master", "127.0.0.1") for word in words]
    words = [word.replace("/tmp/work", str(folder)) for word in words]  # noqa: S108 (replaced, not used)
    # A worker takes options only before the master's URL.
    options = (*options, "--webui-port", str(a_free_port()))
    # spark-class finds pyspark by the first python3.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    others = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name(program)), main, *options, *words],
            env=others | service["environment"] | OF_THIS_MACHINE | {"PATH": path},
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # spark-class becomes the JVM, and executors are in its group
            process.wait()


def executors(application: str) -> dict[str, int]:
    """Return the process ids of an application's executors on this machine, by the executors' own ids."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if EXECUTOR in words and application in words:
            found[words[words.index("--executor-id") + 1]] = int(folder.name)
    return found


def worker_of(executor: int) -> int:
    """Return the process id of the worker that has started an executor."""
    return os.getpgid(executor)
