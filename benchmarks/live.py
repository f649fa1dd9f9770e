"""Measure the processor time and the files of a live demo: `python benchmarks/live.py --minutes 10`.

Needs Linux, and a machine without other load. The processor time is the sum over all processes that the demo started:
Spark, the broker, the API, the producer and the demo itself. The rounds before the live part are not measured.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from processes import ENDED, family, stat_fields

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
STEP_SECONDS = 30.0
STOP_SECONDS = 120


def main(
    *,
    minutes: Annotated[float, typer.Option(min=0.1, help="Duration of the live part.")] = 10.0,
    port: Annotated[int, typer.Option(help="Port of the API.")] = 18000,
    kafka_port: Annotated[int, typer.Option(help="Port of the broker.")] = 19092,
) -> None:
    """Run the demo in a temporary folder and print its share of one core and its number of files."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "loginlake", "demo", "--port", str(port), "--kafka-port", str(kafka_port)]
        where = ["--root", f"{folder}/lake", "--state", f"{folder}/state"]
        demo = subprocess.Popen([*command, *where], stdout=subprocess.PIPE, text=True)
        try:
            _wait_until_live(demo)
            _measure(demo.pid, Path(folder) / "lake", minutes=minutes)
        finally:
            demo.send_signal(signal.SIGINT)
            demo.communicate(timeout=STOP_SECONDS)


def cpu_seconds(root: int) -> float:
    """Return the processor seconds of a process and of all its descendants, those that have ended included."""
    return sum(_own_seconds(pid) for pid in family(root))


def _own_seconds(pid: int) -> float:
    try:
        fields = stat_fields(pid)
    except ENDED:
        return 0.0
    # utime and stime, and cutime and cstime: those of children that have ended and were waited for.
    return sum(int(field) for field in fields[11:15]) / TICKS_PER_SECOND


def _wait_until_live(demo: subprocess.Popen[str]) -> None:
    for line in demo.stdout or ():
        sys.stdout.write(line)
        if line.startswith("Live: "):
            return
    sys.exit("The demo ended before its live part")


def _measure(root: int, lake: Path, *, minutes: float) -> None:
    files_before = _files(lake)
    started, seconds_before = time.monotonic(), cpu_seconds(root)
    while (elapsed := time.monotonic() - started) < minutes * 60:
        time.sleep(min(STEP_SECONDS, minutes * 60 - elapsed))
        elapsed = time.monotonic() - started
        share = (cpu_seconds(root) - seconds_before) / elapsed
        print(f"{elapsed:4.0f} s: {share:5.0%} of one core on average, {_files(lake) - files_before:,} new files")


def _files(folder: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))


if __name__ == "__main__":
    typer.run(main)
