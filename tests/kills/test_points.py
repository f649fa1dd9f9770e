"""Kill -9 of a job at each named point under load: the next run goes on, loses nothing and doubles nothing."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from bronze.stream import ingest_once
from lakehouse.settings import Settings
from lakehouse.spark import Lake
from lakehouse.tables.bronze import RAW_LOGS
from loginlake.pipeline import refresh
from loginlake.verify import verify
from serving.store import Store
from silver.job import refine
from tests.kills.conftest import Stage
from tests.kills.oracle import tally
from tests.kills.points import POINTS, Point, Sight
from tests.kills.processes import is_free, kill, kill_at
from tests.waiting import wait_until

pytestmark = pytest.mark.flow

# Bronze commits and a refresh all fall into it.
SPAN_SECONDS = 15.0
# What gives a job something to do, done in a Spark that is warm.
BEFORE: dict[str, tuple[Callable[[Lake, Settings], object], ...]] = {
    "bronze": (),
    "refresh": (ingest_once,),
    "gold": (ingest_once, refine),
}


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_a_job_that_is_killed_there_leaves_nothing_twice_and_no_gap(stage: Stage, point: Point) -> None:
    for prepare in BEFORE[point.job]:
        prepare(stage.lake)
    sight = Sight(stage.settings)

    with stage.running(point.job) as job:
        kill_at(point, job, sight)

    assert point.is_now(sight)
    tallied = tally(stage.settings, stage.acked())
    assert tallied.is_sound, tallied


def test_all_in_one_process_killed_at_any_moment_leave_nothing_twice_and_no_gap(stage: Stage) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 (shown when the test fails)
    sight = Sight(stage.settings)

    with stage.running("up") as everything:
        wait_until(lambda: sight.committed_at(RAW_LOGS) > 0, everything)
        time.sleep(random.Random(seed).uniform(0, SPAN_SECONDS))
        kill(everything)

    tallied = tally(stage.settings, stage.acked())
    assert tallied.is_sound, tallied
    wait_until(lambda: is_free(stage.settings.port))  # its API ends with it


def test_after_all_kills_every_acked_record_is_there_once_and_nobody_had_to_mend_anything(stage: Stage) -> None:
    acked = stage.acked()

    ingest_once(stage.lake)
    refresh(stage.lake)

    tallied = tally(stage.settings, acked)
    assert tallied.acked > 0
    assert tallied.is_complete, tallied
    report = verify(stage.settings, Store(stage.settings))
    assert report.ok, [check for check in report.checks if check.holds is False]
