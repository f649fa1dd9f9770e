"""The services of the compose file, started as processes on this machine.

Their commands, environment and health checks are the file's own; only host names, ports and paths are changed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from bronze.stream import ingest_once
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from lakehouse.tables.bronze import RAW_LOGS
from loginlake.broker import embedded_broker
from loginlake.pipeline import refresh
from loginlake.verify import verify
from serving.store import Store
from tests.conftest import a_free_port
from tests.crash.oracle import positions_in
from tests.waiting import wait_until

PUBLISHED_SECONDS = 600
STOP_SECONDS = 180


class Machine:
    """Run services of a compose file as processes of this machine, with its ports and paths.

    Their log files stand for `docker compose logs`.
    """

    def __init__(self, services: dict[str, Any], folder: Path) -> None:
        self.services = services
        self.folder = folder
        self.kafka = f"127.0.0.1:{a_free_port()}"
        self.api = f"127.0.0.1:{a_free_port()}"
        port = self.api.rpartition(":")[2]
        self.replacements = {
            "kafka:9092": self.kafka,
            "/lake": str(folder / "lake"),
            "/state": str(folder / "state"),
            "127.0.0.1:8000": self.api,
            "0.0.0.0": "127.0.0.1",  # noqa: S104 (replaced, not bound)
            "8000": port,
        }
        for name in ("lake", "state"):
            (folder / name).mkdir()

    def local(self, text: object) -> str:
        """Replace a host, port or path of the compose network in the text by this machine's."""
        text = str(text)
        for theirs, ours in self.replacements.items():
            if theirs in text:
                return text.replace(theirs, ours)
        return text

    def command(self, words: list[str]) -> list[str]:
        """Return the command with the programs of this environment."""
        programs = {"python": sys.executable, "loginlake": str(Path(sys.executable).with_name("loginlake"))}
        return [programs[words[0]], *(self.local(word) for word in words[1:])]

    def environment(self, name: str) -> dict[str, str]:
        ours = {variable: self.local(value) for variable, value in self.services[name]["environment"].items()}
        return {name: value for name, value in os.environ.items() if not name.startswith("LOGINLAKE_")} | ours

    @contextmanager
    def running(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run the service for the block; stop it as `docker compose stop` does and check that its exit code is 0."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                self.command(self.services[name]["command"]),
                env=self.environment(name),
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
            try:
                yield process
                assert process.poll() is None, self.log(name)
            finally:
                process.send_signal(signal.SIGTERM)
                ended = process.wait(STOP_SECONDS)
        assert ended == 0, self.log(name)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def is_healthy(self, name: str) -> bool:
        """Return whether the health check of the service succeeds."""
        kind, *words = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        check = subprocess.run(self.command(words), env=self.environment(name), capture_output=True, check=False)
        return check.returncode == 0


@pytest.mark.slow
def test_the_services_work_together_and_lose_nothing_when_sigterm_ends_them(
    services, spark: SparkSession, tmp_path: Path
) -> None:
    machine = Machine(services, tmp_path)
    settings = Settings(root=str(tmp_path / "lake"), state=tmp_path / "state", kafka=machine.kafka, _env_file=None)
    lake = Lake(spark, settings)

    with embedded_broker(settings.model_copy(update={"state": tmp_path / "broker-state"})):
        with (
            machine.running("serving") as serving,
            machine.running("bronze") as bronze,
            machine.running("producer") as producer,
        ):
            alive = [serving, bronze, producer]
            wait_until(lambda: machine.is_healthy("serving"), *alive)
            wait_until(lambda: machine.is_healthy("bronze"), *alive)
            # The next refresh after one that finds bronze empty is a minute later.
            wait_until(lambda: not positions_in(settings, RAW_LOGS).is_empty(), *alive)
            with (
                machine.running("refresh") as refreshing,
                httpx.Client(base_url=f"http://{machine.api}", timeout=60) as api,
            ):
                alive.append(refreshing)
                wait_until(lambda: api.get("/readyz").status_code == 200, *alive, seconds=PUBLISHED_SECONDS)
                activity = api.get("/v1/metrics/ip_activity", params={"every": "day", "order_by": "-attempts"}).json()
        ingest_once(lake)
        refresh(lake)
        report = verify(settings, Store(settings))

    assert activity["data"][0]["attempts"] >= 1
    assert activity["meta"]["freshness"]["snapshot"] >= 1
    assert "Rows appended to bronze.raw_logs" in machine.log("bronze")
    assert "Published snapshot" in machine.log("refresh")
    assert report.ok, [check for check in report.checks if check.passed is False]
