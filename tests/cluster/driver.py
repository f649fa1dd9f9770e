"""A Spark driver for tests, as a process: it runs steps in one session.

Its arguments name the steps; without arguments, each line of standard input names one, until the end.

A step is the name of a job, or of a job with a fault: `silver!executor` kills an executor while silver is computed, and
`refresh!pause` stops this process and its JVM right before the snapshot is published, as a suspended machine does. All
faults are in `FAULTS`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Annotated
from unittest.mock import patch

import typer
from pyspark import SparkContext
from pyspark.sql import DataFrame

import gold.job
from bronze.stream import ingest_once
from gold.job import refresh_gold
from lakehouse.entrypoint import run
from lakehouse.job import spark_job
from lakehouse.lake import Lake
from loginlake.pipeline import rebuild_silver, redrive, refresh
from loginlake.retention import maintain
from silver.job import update_silver
from tests.cluster.standalone import WORKERS, executors, worker_of

APPENDS = 40
# Of silver, the first logins, the touched entities, the base and the detections.
KILLED_CHECKPOINTS = 5


def append_rows(lake: Lake) -> None:
    """Append rows one by one, each in a commit that names this process, without any lock."""
    for _ in range(APPENDS):
        rows = lake.spark.range(1).write.format("delta").mode("append").option("userMetadata", str(os.getpid()))
        rows.save(lake.folder_uri("appended"))


def redrive_old_events(lake: Lake) -> None:
    """Redrive the events that were too old for the settings of the session."""
    redrive(lake.with_settings(max_event_age_days=30), reason="implausible_time")


JOBS: dict[str, Callable[[Lake], object]] = {
    "append": append_rows,
    "bronze": ingest_once,
    "silver": update_silver,
    "gold": refresh_gold,
    "redrive": redrive_old_events,
    "refresh": refresh,
    "rebuild-silver": rebuild_silver,
    "maintain": maintain,
}

app = typer.Typer(add_completion=False)


@app.command()
def steps(names: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Run the steps one after another."""
    with spark_job("tests") as lake:
        for name in names or map(str.strip, sys.stdin):
            job, _, fault = name.partition("!")
            with FAULTS[fault](lake):
                JOBS[job](lake)
            print(f"{name} has ended", flush=True)


@contextmanager
def no_fault(_lake: Lake) -> Iterator[None]:
    yield


@contextmanager
def killed(lake: Lake, *, part: str | None = None, victim: Callable[[int], int] = int) -> Iterator[None]:
    """Kill one executor of this machine while it runs a task of the block.

    Args:
        lake: The lake.
        part: Name of a function of the gold job, to wait for its tasks; None for those of any query.
        victim: Returns what to kill, a process or the group of one, by the executor's process id.
    """
    context, has_killed = lake.spark.sparkContext, threading.Event()

    def kill() -> None:
        while not (part is None or active_stages(context, part)) or (pid := busy_executor(context)) is None:
            time.sleep(0.005)
        os.kill(victim(pid), signal.SIGKILL)
        has_killed.set()

    with patch(f"gold.job.{part}", grouped(context, part)) if part else nullcontext():
        threading.Thread(target=kill, daemon=True).start()
        yield
    assert has_killed.is_set()


def grouped(context: SparkContext, part: str) -> Callable[..., object]:
    """Return a function of the gold job, which runs its queries as a group of that name."""
    work = getattr(gold.job, part)

    def run_grouped(*arguments: object, **named: object) -> object:
        context.setJobGroup(part, part)
        return work(*arguments, **named)

    return run_grouped


def active_stages(context: SparkContext, group: str) -> list[int]:
    """Return the stages of a group of queries that run now."""
    tracker = context.statusTracker()
    jobs = map(tracker.getJobInfo, tracker.getJobIdsForGroup(group))
    return [stage for job in jobs if job for stage in job.stageIds if stage in tracker.getActiveStageIds()]


def busy_executor(context: SparkContext) -> int | None:
    """Return the process id of an executor that runs a task now; None if there is none."""
    running = executors(context.applicationId)
    tasks = context._jsc.sc().taskScheduler().runningTasksByExecutors()
    return next((pid for number, pid in running.items() if tasks.contains(number) and tasks.apply(number)), None)


@contextmanager
def killed_after_checkpoints(_lake: Lake) -> Iterator[None]:
    """Kill one executor right after each of the checkpoints of the block."""
    checkpoint, kills = Lake.checkpoint, []

    def checkpoint_and_kill(lake: Lake, rows: DataFrame) -> DataFrame:
        stored = checkpoint(lake, rows)
        if len(kills) < KILLED_CHECKPOINTS:
            kills.append(kill_an_executor(lake))
        return stored

    with patch.object(Lake, "checkpoint", checkpoint_and_kill):
        yield
    assert len(kills) == KILLED_CHECKPOINTS


@contextmanager
def paused_before_publishing(_lake: Lake) -> Iterator[None]:
    publish = gold.job.publish_snapshot

    def pause_and_publish(*arguments: object, **named: object) -> object:
        print("paused", flush=True)
        os.killpg(os.getpgrp(), signal.SIGSTOP)
        return publish(*arguments, **named)

    with patch("gold.job.publish_snapshot", pause_and_publish):
        yield


def kill_an_executor(lake: Lake) -> int:
    """Kill the oldest executor, once there is more than one, and return its process id."""
    while len(running := executors(lake.spark.sparkContext.applicationId)) < WORKERS:
        time.sleep(0.1)
    pid = min(running.values())
    os.kill(pid, signal.SIGKILL)
    return pid


FAULTS = {
    "": no_fault,
    "executor": killed,
    "base": partial(killed, part="write_activity"),
    "worker": partial(killed, part="overwrite_detections", victim=lambda pid: -worker_of(pid)),
    "checkpoints": killed_after_checkpoints,
    "pause": paused_before_publishing,
}

if __name__ == "__main__":
    sys.argv[0] = "driver"
    run(app)
