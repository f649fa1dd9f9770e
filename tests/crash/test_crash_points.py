"""Kill a job with SIGKILL at each crash point under load, and end `up` with Ctrl-C: no record is lost or duplicated.

While a job is stopped at a crash point, every other writer is refused. SIGTERM: see tests/compose.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from bronze.stream import ingest_once
from gold.job import refresh_gold
from lakehouse.errors import LockHeld
from lakehouse.lake import Lake
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import SNAPSHOTS
from lakehouse.tables.silver import EVENTS
from loginlake.pipeline import refresh
from loginlake.verify import verify
from serving.store import Store
from silver.job import update_silver
from tests.crash.conftest import LiveLake
from tests.crash.crash_points import CRASH_POINTS, CrashPoint, LakeFiles
from tests.crash.oracle import count_positions
from tests.crash.processes import is_port_free, jvm_that_writes, kill, stop, stop_at
from tests.waiting import TIMEOUT_SECONDS, wait_until

pytestmark = pytest.mark.slow

Job = Callable[[Lake], object]
# In-process jobs that create the input of a command.
PREPARATIONS: dict[str, tuple[Job, ...]] = {"bronze": (), "up": (), "gold": (ingest_once, update_silver)}
# In-process jobs that a command excludes while it runs.
EXCLUDED: dict[str, tuple[Job, ...]] = {
    "bronze": (ingest_once,),
    "up": (ingest_once, update_silver, refresh_gold, refresh),
    "gold": (update_silver, refresh_gold, refresh),
}


def assert_refused(job: Job, lake: Lake, *, pid: int) -> None:
    with pytest.raises(LockHeld) as refusal:
        job(lake)
    assert refusal.value.parts["pid"] == pid


@pytest.mark.parametrize("point", CRASH_POINTS, ids=lambda point: point.name)
def test_a_job_killed_at_a_crash_point_excludes_others_until_then_and_leaves_no_duplicate_and_no_gap(
    live_lake: LiveLake, point: CrashPoint
) -> None:
    for prepare in PREPARATIONS[point.job]:
        prepare(live_lake.lake)
    files = LakeFiles(live_lake.settings)

    with live_lake.running(point.job) as process:
        stop_at(point, process, files)
        for job in EXCLUDED[point.job]:
            assert_refused(job, live_lake.lake, pid=process.pid)
        kill(process)

    assert point.is_now(files)
    counts = live_lake.counts()
    assert counts.is_sound, counts
    wait_until(lambda: is_port_free(live_lake.settings.port))  # the API that `up` started ends with it


def test_a_lock_is_held_until_the_jvm_of_a_killed_python_process_has_ended(
    live_lake: LiveLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakehouse.locks.KILLED_SECONDS", 1.0)  # the JVM ends later: it is stopped
    ingest_once(live_lake.lake)
    files = LakeFiles(live_lake.settings)
    with live_lake.running("silver") as process:
        wait_until(lambda: jvm_that_writes(process, files) is not None, process, poll_seconds=0.01)
        stop(process)
        jvm = jvm_that_writes(process, files)
        assert jvm is not None

        process.kill()
        process.wait()
        assert_refused(update_silver, live_lake.lake, pid=process.pid)
        os.kill(jvm, signal.SIGCONT)
        wait_until(lambda: not Path(f"/proc/{jvm}").exists())

    update_silver(live_lake.lake)
    counts = live_lake.counts()
    assert counts.is_sound, counts


def test_after_all_kills_up_continues_by_itself_and_finishes_its_work_at_ctrl_c(live_lake: LiveLake) -> None:
    files = LakeFiles(live_lake.settings)
    with live_lake.running("up") as up:
        wait_until(lambda: files.committed_at(RAW_LOGS) > 0, up)
        assert verify(live_lake.settings, Store(live_lake.settings)).ok  # also while it writes
        wait_until(lambda: files.committed_at(EVENTS) > 0, up)
        up.send_signal(signal.SIGINT)

        assert up.wait(TIMEOUT_SECONDS) == 0, live_lake.log("up")
    assert files.committed_at(SNAPSHOTS) > 0
    counts = live_lake.counts()
    assert counts.is_sound, counts
    assert is_port_free(live_lake.settings.port)
    assert "Exception" not in live_lake.log("up")
    assert "Traceback" not in live_lake.log("up")


def test_every_acknowledged_record_is_in_the_lake_once_without_any_repair(live_lake: LiveLake) -> None:
    acknowledged = live_lake.acknowledged()

    ingest_once(live_lake.lake)
    refresh(live_lake.lake)

    counts = count_positions(live_lake.settings, acknowledged)
    assert counts.acknowledged > 0
    assert counts.is_complete, counts
    report = verify(live_lake.settings, Store(live_lake.settings))
    assert report.ok, [check for check in report.checks if check.passed is False]
