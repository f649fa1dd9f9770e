"""Kill the broker and the producer under load: every acknowledged record is in the lake once."""

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
from tests.crash.oracle import acknowledged, count_positions
from tests.crash.processes import kill, running, start
from tests.waiting import TIMEOUT_SECONDS, wait_until

pytestmark = pytest.mark.slow

RATE = "100"
BATCH = 20_000
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


def catch_up(lake: Lake) -> None:
    """Read and publish all of Kafka, and check that verify succeeds."""
    ingest_once(lake)
    refresh(lake)
    report = verify(lake.settings, Store(lake.settings))
    assert report.ok
    assert report.unread == {"kafka": 0, "bronze": 0}


def test_a_killed_and_a_paused_broker_lose_no_acknowledged_record(spark: SparkSession, tmp_path: Path) -> None:
    settings, ledger = a_settings(tmp_path), tmp_path / "ledger.ndjson"
    lake = Lake(spark, settings)

    def wait_for_more_records() -> None:
        before = acknowledged(ledger).height
        wait_until(lambda: acknowledged(ledger).height > before + int(RATE))

    arguments = ("produce", "generate", "--rate", RATE, "--ledger", str(ledger))
    with ExitStack() as stack:
        broker = stack.enter_context(embedded_broker(settings))
        producer = stack.enter_context(running(settings, *arguments, output=tmp_path / "produce.log"))
        with running_stream(lake, once=False) as query:
            wait_for_more_records()
            broker.process.kill()
            broker.process.wait()
            broker = stack.enter_context(embedded_broker(settings))
            wait_for_more_records()
            broker.process.send_signal(signal.SIGSTOP)
            time.sleep(PAUSE_SECONDS)
            broker.process.send_signal(signal.SIGCONT)
            wait_for_more_records()
            assert query.isActive
        producer.send_signal(signal.SIGTERM)
        assert producer.wait(TIMEOUT_SECONDS) == 0

        catch_up(lake)
        counts = count_positions(settings, acknowledged(ledger))
        assert counts.is_complete, counts


def test_the_ledger_of_a_killed_producer_is_correct_and_its_records_can_be_sent_again(
    fed_lake: Lake, tmp_path: Path
) -> None:
    settings, ledgers = fed_lake.settings, [tmp_path / "killed.ndjson", tmp_path / "again.ndjson"]

    def produce(ledger: Path) -> tuple[str, ...]:
        return "produce", "generate", "--events", str(BATCH), "--start", "2026-03-01", "--ledger", str(ledger)

    with running(settings, *produce(ledgers[0]), output=tmp_path / "produce.log") as producer:
        wait_until(lambda: ledgers[0].exists() and ledgers[0].stat().st_size > 0, producer, poll_seconds=0.001)
        kill(producer)
    again = start(settings, *produce(ledgers[1]), output=tmp_path / "produce.log")
    assert again.wait(TIMEOUT_SECONDS) == 0

    catch_up(fed_lake)
    counts = count_positions(settings, acknowledged(*ledgers))
    assert 0 < acknowledged(ledgers[0]).height < BATCH < counts.acknowledged
    assert counts.is_complete, counts
