"""A lake that is fed while its jobs are killed and stopped."""

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
from tests.crash.oracle import acknowledged
from tests.crash.processes import running
from tests.waiting import PATIENCE_SECONDS

RATE = "100"
# So often that no test waits long for one.
CHECKPOINT_INTERVAL = "3"


@dataclass(frozen=True)
class Stage:
    """A lake that a producer feeds."""

    lake: Lake
    folder: Path

    @property
    def settings(self) -> Settings:
        return self.lake.settings

    def running(self, *words: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """The verb for a block; what it says is in the log file of its name."""
        return running(self.settings, *words, output=self.folder / f"{words[0]}.log")

    def said(self, verb: str) -> str:
        """All that processes of that verb have said."""
        return (self.folder / f"{verb}.log").read_text()

    def acked(self) -> pl.DataFrame:
        """The positions that the producer has been told so far."""
        return acknowledged(self.folder / "ledger.ndjson")


@pytest.fixture(scope="package")
def stage(spark: SparkSession, kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("kills")
    settings = Settings(
        root=str(folder / "lake"),
        state=folder / "state",
        kafka=kafka,
        topic=f"killed-{uuid4().hex[:8]}",
        topic_partitions=2,
        bronze_trigger_seconds=1.0,
        port=a_free_port(),
        _env_file=None,
    )
    stage = Stage(Lake(spark, settings), folder)
    with stage.running("produce", "generate", "--rate", RATE, "--ledger", str(folder / "ledger.ndjson")) as producer:
        ingest_once(stage.lake)
        refresh(stage.lake)
        stage.lake.set_property(RAW_LOGS, name="delta.checkpointInterval", value=CHECKPOINT_INTERVAL)
        yield stage
        producer.send_signal(signal.SIGTERM)
        assert producer.wait(PATIENCE_SECONDS) == 0, stage.said("produce")
