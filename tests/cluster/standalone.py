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
from tests.conftest import a_free_port
from tests.crash.processes import is_port_free
from tests.waiting import wait_until

EXECUTOR = b"org.apache.spark.executor.CoarseGrainedExecutorBackend"
OURS = ("AWS_", "LOGINLAKE_", "PYSPARK_", "SPARK_")


@contextmanager
def running_cluster(folder: Path, *, workers: int) -> Iterator[str]:
    """Run the master and the workers of the compose file for the block, and yield the master's URL."""
    folder.mkdir()
    port = a_free_port()
    master = f"127.0.0.1:{port}"
    with ExitStack() as daemons:
        process = daemons.enter_context(_daemon("spark-master", folder / "master", master, "--port", str(port)))
        wait_until(lambda: not is_port_free(port), process, seconds=60)
        for number in range(workers):
            daemons.enter_context(_daemon("spark-worker", folder / f"worker-{number}", master, "--host", "127.0.0.1"))
        yield f"spark://{master}"


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
    with (folder / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name(program)), main, *options, *words],
            env=others | service["environment"] | {"SPARK_LOCAL_IP": "127.0.0.1", "PATH": path},
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)  # spark-class becomes the JVM, and executors are in its group
            process.wait(60)


def executors(application: str) -> list[int]:
    """Return the process ids of an application's executors on this machine, oldest first."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if EXECUTOR in words and application.encode() in words:
            found.append(int(folder.name))
    return sorted(found)
