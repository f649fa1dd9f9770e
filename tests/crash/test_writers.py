"""One writer, across processes: a second is refused until the first one's JVM is gone, however that ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bronze.stream import ingest_once
from gold.job import refresh_gold
from lakehouse.errors import LockHeld
from lakehouse.lake import Lake
from lakehouse.locks import LockName, lock_path
from lakehouse.settings import Settings
from lakehouse.tables.silver import EVENTS
from loginlake.pipeline import refresh
from silver.job import refine
from tests.crash.processes import running, started, stop
from tests.spark_lakes import a_raw_login, append_batch
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.slow

ROWS = 100


@contextmanager
def holding(settings: Settings, verb: str, *, lock: LockName) -> Iterator[subprocess.Popen[bytes]]:
    """A job in a process of its own, stopped while it holds the lock; killed at the end of the block."""
    path = lock_path(settings, lock)
    with running(settings, verb, output=settings.state.parent / f"{verb}.log") as job:
        wait_until(lambda: path.exists() and path.stat().st_size > 0, job, look_seconds=0.001)
        stop(job)
        yield job


def ended(settings: Settings, verb: str) -> tuple[int, str]:
    """The exit code of a job, and all it said."""
    output = settings.state.parent / f"{verb}-again.log"
    return started(settings, verb, output=output).wait(PATIENCE_SECONDS), output.read_text()


def test_of_two_silver_processes_one_works_and_the_other_names_it_until_its_jvm_has_ended(lake: Lake) -> None:
    settings = lake.settings
    append_batch(lake, [a_raw_login(offset) for offset in range(ROWS)])

    with holding(settings, "silver", lock="refresh") as first:
        jvm = json.loads(lock_path(settings, "refresh").read_text())["jvm"]
        code, said = ended(settings, "silver")
        assert code == LockHeld.exit_code
        assert f"Process {first.pid} has held the lock of refresh since 20" in said.splitlines()[-1]
        for job in (refine, refresh_gold, refresh):
            with pytest.raises(LockHeld, match=f"Process {first.pid} "):
                job(lake)

        first.kill()  # its Python alone: the lock is its JVM's, which ends by itself
        first.wait()
        with pytest.raises(LockHeld, match=rf"\(JVM {jvm}, on "):
            refine(lake)
        os.kill(jvm, signal.SIGCONT)
        wait_until(lambda: not Path(f"/proc/{jvm}").exists())

    refine(lake)
    assert lake.read(EVENTS).count() == ROWS


def test_a_second_bronze_process_is_refused_until_the_first_is_killed(fed_lake: Lake) -> None:
    with (
        holding(fed_lake.settings, "bronze", lock="bronze") as first,
        pytest.raises(LockHeld, match=f"Process {first.pid} has held the lock of bronze"),
    ):
        ingest_once(fed_lake)

    ingest_once(fed_lake)
