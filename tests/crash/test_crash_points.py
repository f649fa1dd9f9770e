"""Kill -9 of a job at each named point under load, and Ctrl-C: the next run goes on, loses nothing, doubles nothing.

SIGTERM: see tests/compose.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from bronze.stream import ingest_once
from lakehouse.lake import Lake
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import SNAPSHOTS
from lakehouse.tables.silver import EVENTS
from loginlake.pipeline import refresh
from loginlake.verify import verify
from serving.store import Store
from silver.job import refine
from tests.crash.conftest import Stage
from tests.crash.crash_points import POINTS, LakeFiles, Point
from tests.crash.oracle import tally
from tests.crash.processes import is_free, kill_at
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.slow

# What gives a job something to do, done in a Spark that is warm.
BEFORE: dict[str, tuple[Callable[[Lake], object], ...]] = {
    "bronze": (),
    "up": (),
    "gold": (ingest_once, refine),
}


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_a_job_that_is_killed_there_leaves_nothing_twice_and_no_gap(stage: Stage, point: Point) -> None:
    for prepare in BEFORE[point.job]:
        prepare(stage.lake)
    sight = LakeFiles(stage.settings)

    with stage.running(point.job) as job:
        kill_at(point, job, sight)

    assert point.is_now(sight)
    tallied = tally(stage.settings, stage.acked())
    assert tallied.is_sound, tallied
    wait_until(lambda: is_free(stage.settings.port))  # the API that `up` started ends with it


def test_after_all_kills_up_goes_on_by_itself_and_ends_at_ctrl_c_with_what_it_had_begun(stage: Stage) -> None:
    sight = LakeFiles(stage.settings)
    with stage.running("up") as everything:
        wait_until(lambda: sight.committed_at(RAW_LOGS) > 0, everything)
        assert verify(stage.settings, Store(stage.settings)).ok  # also while it writes
        wait_until(lambda: sight.committed_at(EVENTS) > 0, everything)
        everything.send_signal(signal.SIGINT)

        assert everything.wait(PATIENCE_SECONDS) == 0, stage.said("up")
    assert sight.committed_at(SNAPSHOTS) > 0
    tallied = tally(stage.settings, stage.acked())
    assert tallied.is_sound, tallied
    assert is_free(stage.settings.port)
    assert "Exception" not in stage.said("up")
    assert "Traceback" not in stage.said("up")


def test_every_acked_record_is_there_once_and_nobody_had_to_mend_anything(stage: Stage) -> None:
    acked = stage.acked()

    ingest_once(stage.lake)
    refresh(stage.lake)

    tallied = tally(stage.settings, acked)
    assert tallied.acked > 0
    assert tallied.is_complete, tallied
    report = verify(stage.settings, Store(stage.settings))
    assert report.ok, [check for check in report.checks if check.passed is False]
