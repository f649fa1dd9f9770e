"""A lake that a producer feeds while its jobs are killed and stopped."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import polars as pl
import pytest
from pyspark.sql import SparkSession

from bronze.stream import ingest_once
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from lakehouse.tables.bronze import RAW_LOGS
from loginlake.pipeline import refresh
from tests.conftest import a_free_port
from tests.crash.oracle import PositionCounts, acknowledged, count_positions
from tests.crash.processes import running
from tests.waiting import TIMEOUT_SECONDS

# Records a second: more would only make each refresh longer.
RATE = "20"
# Frequent checkpoints, so that no test waits long for one.
CHECKPOINT_INTERVAL = "3"


@dataclass(frozen=True)
class LiveLake:
    """A lake that a running producer feeds."""

    lake: Lake
    folder: Path

    @property
    def settings(self) -> Settings:
        return self.lake.settings

    def running(self, *arguments: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """Run a command for the block; its output goes to a log file of its name."""
        return running(self.settings, *arguments, output=self.folder / f"{arguments[0]}.log")

    def log(self, command: str) -> str:
        """Return the output of all processes of that command."""
        return (self.folder / f"{command}.log").read_text()

    def acknowledged(self) -> pl.DataFrame:
        """Return the positions that the broker has acknowledged to the producer so far."""
        return acknowledged(self.folder / "ledger.ndjson")

    def counts(self) -> PositionCounts:
        """Compare the rows of the lake with the positions acknowledged so far."""
        return count_positions(self.settings, self.acknowledged())


@pytest.fixture(scope="package")
def live_lake(spark: SparkSession, kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLake]:
    folder = tmp_path_factory.mktemp("live")
    settings = Settings(
        root=str(folder / "lake"),
        state=folder / "state",
        kafka=kafka,
        topic=f"live-{uuid4().hex[:8]}",
        topic_partitions=2,
        bronze_trigger_seconds=1.0,
        port=a_free_port(),
        _env_file=None,
    )
    live_lake = LiveLake(Lake(spark, settings), folder)
    ledger = str(folder / "ledger.ndjson")
    with live_lake.running("produce", "generate", "--rate", RATE, "--ledger", ledger) as producer:
        ingest_once(live_lake.lake)
        refresh(live_lake.lake)
        live_lake.lake.set_property(RAW_LOGS, name="delta.checkpointInterval", value=CHECKPOINT_INTERVAL)
        yield live_lake
        producer.send_signal(signal.SIGTERM)
        assert producer.wait(TIMEOUT_SECONDS) == 0, live_lake.log("produce")
