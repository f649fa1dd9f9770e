"""Kill -9 of the Spark process at a random moment under load: the next runs lose nothing and double nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from bronze.stream import ingest_once
from lakehouse.errors import LockHeld
from lakehouse.settings import Settings
from lakehouse.spark import Lake
from lakehouse.tables.bronze import RAW_LOGS
from loginlake.pipeline import refresh
from loginlake.verify import newest_rows, verify
from serving.store import Store

pytestmark = pytest.mark.flow

KILLS = 2
RATE = "500"
START_SECONDS = 120
# A killed process is caught anywhere in a few batches of bronze and in a refresh.
SPAN_SECONDS = 20.0

BRONZE_AND_REFRESH = """
import threading
from lakehouse.settings import load_settings
from lakehouse.spark import Lake, spark_session
from loginlake.pipeline import run_until

settings = load_settings()
run_until(threading.Event(), Lake(spark_session(settings, job="killed"), settings), settings)
"""


def started(settings: Settings, *words: str) -> subprocess.Popen[bytes]:
    """A Python process with these settings, in a group of its own."""
    environment = {
        "LOGINLAKE_ROOT": settings.root,
        "LOGINLAKE_STATE": str(settings.state),
        "LOGINLAKE_KAFKA": settings.kafka,
        "LOGINLAKE_TOPIC": settings.topic,
        "LOGINLAKE_BRONZE_EVERY": "1",
        "LOGINLAKE_REFRESH_EVERY": "1",
    }
    return subprocess.Popen([sys.executable, *words], env=os.environ | environment, start_new_session=True)


def kill_while_it_works(settings: Settings, chance: random.Random) -> None:
    """Starts bronze and refresh in one Spark process and kills it, JVM and workers included."""
    folder = Path(settings.table_uri("bronze", "raw_logs")) / "_delta_log"
    commits = len(list(folder.glob("*.json")))
    process = started(settings, "-c", BRONZE_AND_REFRESH)
    deadline = time.monotonic() + START_SECONDS
    while len(list(folder.glob("*.json"))) <= commits + 1:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(chance.uniform(0, SPAN_SECONDS))
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(START_SECONDS) == -signal.SIGKILL


def when_free(job: Callable[[], object]) -> None:
    """Runs a job; the locks of a killed JVM go only when the system has taken it down, a moment after the signal."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            job()
        except LockHeld:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        else:
            return


def test_whatever_moment_spark_is_killed_at_every_acked_record_is_there_once(fed_lake: Lake, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 (shown when the test fails)
    chance = random.Random(seed)
    settings, ledger = fed_lake.settings, tmp_path / "ledger.ndjson"
    producer = started(settings, "-m", "producer", "generate", "--rate", RATE, "--ledger", str(ledger))
    try:
        for _ in range(KILLS):
            kill_while_it_works(settings, chance)
    finally:
        producer.send_signal(signal.SIGTERM)
        producer.wait(START_SECONDS)

    when_free(lambda: ingest_once(fed_lake, settings))
    when_free(lambda: refresh(fed_lake, settings))

    store = Store(settings)
    report = verify(settings, store)
    assert report.ok, [check for check in report.checks if not check.holds]
    assert report.unread == {"kafka": 0, "bronze": 0}
    acked = [json.loads(line) for line in ledger.read_text().splitlines()]
    ingested = newest_rows(store, RAW_LOGS).select("partition", "offset").collect()
    assert not ingested.is_duplicated().any()
    positions = pl.DataFrame(acked).select(pl.col("partition").cast(pl.Int32), pl.col("offset").cast(pl.Int64))
    assert positions.height > 0
    assert positions.join(ingested, on=["partition", "offset"], how="anti").is_empty()
