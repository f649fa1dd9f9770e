"""A Spark driver for tests, as a process: it runs the steps that its arguments name, in one session.

A step is the name of a job, or of a job with a fault: `silver!executor` kills an executor while silver is computed,
`refresh!checkpoints` kills one after each checkpoint, and `refresh!pause` stops this process and its JVM right before
the snapshot is published, as a suspended machine does.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import typer
from pyspark.sql import DataFrame

import gold.job
from bronze.stream import ingest_once
from lakehouse.entrypoint import run
from lakehouse.job import spark_job
from lakehouse.lake import Lake
from loginlake.pipeline import rebuild_gold, rebuild_silver, redrive, refresh
from loginlake.retention import maintain
from silver.job import update_silver
from tests.cluster.standalone import executors

APPENDS = 40


def append_rows(lake: Lake) -> None:
    """Append rows one by one, each in a commit that names this process, without any lock."""
    for _ in range(APPENDS):
        rows = lake.spark.range(1).write.format("delta").mode("append").option("userMetadata", str(os.getpid()))
        rows.save(lake.folder_uri("appended"))


JOBS: dict[str, Callable[[Lake], object]] = {
    "append": append_rows,
    "bronze": ingest_once,
    "silver": update_silver,
    "refresh": refresh,
    "redrive": redrive,
    "rebuild-silver": rebuild_silver,
    "rebuild-gold": rebuild_gold,
    "maintain": maintain,
}

app = typer.Typer(add_completion=False)


@app.command()
def steps(names: list[str]) -> None:
    """Run the steps one after another."""
    with spark_job("tests") as lake:
        for name in names:
            job, _, fault = name.partition("!")
            with FAULTS[fault](lake):
                JOBS[job](lake)
            print(f"{name} has ended", flush=True)


@contextmanager
def no_fault(_lake: Lake) -> Iterator[None]:
    yield


@contextmanager
def killed_executor(lake: Lake) -> Iterator[None]:
    """Kill one executor of this machine while a stage of the block runs on it."""
    killed = threading.Event()

    def kill() -> None:
        tracker = lake.spark.sparkContext.statusTracker()
        while not any(
            stage.numActiveTasks for stage in map(tracker.getStageInfo, tracker.getActiveStageIds()) if stage
        ):
            time.sleep(0.005)
        kill_an_executor(lake)
        killed.set()

    killing = threading.Thread(target=kill, daemon=True)
    killing.start()
    yield
    assert killed.is_set()


@contextmanager
def killed_after_checkpoints(_lake: Lake) -> Iterator[None]:
    """Kill one executor right after each checkpoint of the block."""
    checkpoint, kills = Lake.checkpoint, []

    def checkpoint_and_kill(lake: Lake, rows: DataFrame) -> DataFrame:
        stored = checkpoint(lake, rows)
        kills.append(kill_an_executor(lake))
        return stored

    with patch.object(Lake, "checkpoint", checkpoint_and_kill):
        yield
    assert len(kills) >= 2, kills


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
    while len(running := executors(lake.spark.sparkContext.applicationId)) < 2:
        time.sleep(0.1)
    os.kill(running[0], signal.SIGKILL)
    return running[0]


FAULTS = {
    "": no_fault,
    "executor": killed_executor,
    "checkpoints": killed_after_checkpoints,
    "pause": paused_before_publishing,
}

if __name__ == "__main__":
    sys.argv[0] = "driver"
    run(app)
