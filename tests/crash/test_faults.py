"""Kill -9 of the broker and of the producer under load: what was acknowledged is there, once."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from bronze.stream import ingest_once, running_stream
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from loginlake.broker import embedded_broker
from loginlake.pipeline import refresh
from loginlake.verify import verify
from serving.store import Store
from tests.conftest import a_free_port
from tests.crash.oracle import acknowledged, tally
from tests.crash.processes import kill, running, started
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.slow

RATE = "500"
BATCH = 50_000
PAUSE_SECONDS = 5.0


def a_settings(folder: Path) -> Settings:
    return Settings(
        root=str(folder / "lake"),
        state=folder / "state",
        kafka=f"127.0.0.1:{a_free_port()}",
        topic_partitions=2,
        bronze_trigger_seconds=0.5,
        _env_file=None,
    )


def caught_up(lake: Lake) -> bool:
    """True where all that Kafka holds is published and verify finds no fault."""
    ingest_once(lake)
    refresh(lake)
    report = verify(lake.settings, Store(lake.settings))
    return report.ok and report.unread == {"kafka": 0, "bronze": 0}


def test_a_broker_that_is_killed_and_one_that_stands_still_lose_nothing_they_acknowledged(
    spark: SparkSession, tmp_path: Path
) -> None:
    settings, ledger = a_settings(tmp_path), tmp_path / "ledger.ndjson"
    lake = Lake(spark, settings)

    def await_more() -> None:
        before = acknowledged(ledger).height
        wait_until(lambda: acknowledged(ledger).height > before + int(RATE))

    words = ("produce", "generate", "--rate", RATE, "--ledger", str(ledger))
    with ExitStack() as parts:
        broker = parts.enter_context(embedded_broker(settings))
        producer = parts.enter_context(running(settings, *words, output=tmp_path / "produce.log"))
        with running_stream(lake, once=False) as query:
            await_more()
            broker.process.kill()
            broker.process.wait()
            broker = parts.enter_context(embedded_broker(settings))
            await_more()
            broker.process.send_signal(signal.SIGSTOP)
            time.sleep(PAUSE_SECONDS)
            broker.process.send_signal(signal.SIGCONT)
            await_more()
            assert query.isActive
        producer.send_signal(signal.SIGTERM)
        assert producer.wait(PATIENCE_SECONDS) == 0

        assert caught_up(lake)
        tallied = tally(settings, acknowledged(ledger))
        assert tallied.is_complete, tallied


def test_a_producer_that_is_killed_while_it_flushes_has_told_the_truth_and_its_copies_count_once(
    fed_lake: Lake, tmp_path: Path
) -> None:
    settings, ledgers = fed_lake.settings, [tmp_path / "killed.ndjson", tmp_path / "again.ndjson"]

    def produce(ledger: Path) -> tuple[str, ...]:
        return "produce", "generate", "--events", str(BATCH), "--start", "2026-03-01", "--ledger", str(ledger)

    with running(settings, *produce(ledgers[0]), output=tmp_path / "produce.log") as producer:
        wait_until(lambda: ledgers[0].exists() and ledgers[0].stat().st_size > 0, producer, look_seconds=0.001)
        kill(producer)
    again = started(settings, *produce(ledgers[1]), output=tmp_path / "produce.log")
    assert again.wait(PATIENCE_SECONDS) == 0

    assert caught_up(fed_lake)
    tallied = tally(settings, acknowledged(*ledgers))
    assert 0 < acknowledged(ledgers[0]).height < BATCH < tallied.acked
    assert tallied.is_complete, tallied
