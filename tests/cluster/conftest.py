from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cluster.seaweedfs import running_store
from tests.loginlake.command_line import Ended, Loginlake, LoginlakeProcess, clean_environment

CLONE = Path(__file__).parents[2]
SECONDS = 400.0


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

    def start_driver(self, *steps: str) -> subprocess.Popen[bytes]:
        """Start a driver of `tests.cluster.driver` as the leader of a process group."""
        return self._start("-m", "tests.cluster.driver", *steps)

    def driver(self, *steps: str) -> None:
        """Run a driver to its end, which must be a success."""
        process = self.start_driver(*steps)
        output, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, output.decode()

    def read(self, *words: str) -> Ended:
        """Run a command that needs no Spark, in this process."""
        return Loginlake(self.folder, self.environment)(*words)

    def on(self, folder: Path, **environment: str) -> Machine:
        """Return another machine on the same lake."""
        folder.mkdir()
        ours = {"LOGINLAKE_STATE": str(folder / "state")} | environment
        return Machine(folder, self.environment | ours)

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, *words],
            env=clean_environment(**self.environment) | {"PYTHONPATH": str(CLONE)},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@pytest.fixture(scope="package")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of the clients of a running store."""
    with running_store(tmp_path_factory.mktemp("store") / "weed") as environment:
        yield environment


@pytest.fixture
def machine(store: dict[str, str], kafka: str, tmp_path: Path) -> Machine:
    """A machine with an empty lake on S3, and a topic of its own."""
    name = uuid4().hex[:8]
    ours = {
        "LOGINLAKE_ROOT": f"s3://lake/{name}",
        "LOGINLAKE_STATE": str(tmp_path / "state"),
        "LOGINLAKE_KAFKA": kafka,
        "LOGINLAKE_TOPIC": f"logs-{name}",
        "LOGINLAKE_TOPIC_PARTITIONS": "2",
    }
    return Machine(tmp_path, store | ours)
