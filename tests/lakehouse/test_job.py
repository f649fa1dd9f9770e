"""A Spark job as a process: how a signal ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

JOB = """
import typer
from lakehouse.entrypoint import run
from lakehouse.job import spark_job

app = typer.Typer()

@app.command()
def wait():
    with spark_job("wait") as lake:
        print("waiting", flush=True)
        {calls}

run(app)
"""
ONE_LONG_CALL = "lake.spark._jvm.java.lang.Thread.sleep(600_000)"
MANY_SHORT_CALLS = "while True: lake.spark._jvm.java.lang.System.nanoTime()"


@pytest.mark.parametrize(("number", "calls"), [(signal.SIGINT, MANY_SHORT_CALLS), (signal.SIGTERM, ONE_LONG_CALL)])
def test_a_signal_in_the_middle_of_a_job_ends_it_with_130_and_no_traceback(
    tmp_path: Path, number: signal.Signals, calls: str
) -> None:
    environment = os.environ | {"LOGINLAKE_ROOT": str(tmp_path / "lake"), "LOGINLAKE_STATE": str(tmp_path / "state")}
    job = subprocess.Popen(
        [sys.executable, "-c", JOB.format(calls=calls)],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert job.stdout.readline() == "waiting\n"
    job.send_signal(number)
    # The JVM writes to the same pipe, which therefore ends with the JVM.
    _, errors = job.communicate(timeout=120)

    assert job.returncode == 130, errors
    assert "Traceback" not in errors
