"""Child processes: their output goes to a log file, and they end when this process ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import structlog

from lakehouse.errors import ProcessFailed
from loginlake import die_with_parent

log = structlog.get_logger()

STOP_SECONDS = 30.0


@contextmanager
def child(command: list[str], *, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process for the block; at the end it gets SIGTERM, and SIGKILL if it still runs 30 seconds later.

    The process has a session of its own: Ctrl-C reaches only this process, which then stops its children one by one.
    If this process is killed, the child gets SIGTERM too. On Linux that happens when the thread that called this
    function ends, so call it from the main thread.

    Args:
        command: The program and its arguments.
        output: File that the process appends its output to.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("ab") as file:
        process = subprocess.Popen(
            [*_parent_guard(), *command], stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    try:
        yield process
    finally:
        _stop(process)


def run_child(command: list[str], *, output: Path) -> None:
    """Run a process to its end.

    Raises:
        ProcessFailed: Its exit code is not 0.
    """
    with child(command, output=output) as process:
        process.wait()
    if process.returncode != 0:
        raise child_failed(process, output)


def child_failed(process: subprocess.Popen[bytes], output: Path) -> ProcessFailed:
    """Return the error for a process that failed or ended unexpectedly."""
    _program, *arguments = cast("list[str]", process.args)[len(_parent_guard()) :]
    return ProcessFailed(
        f"`{' '.join(arguments)}` ended with exit code {process.returncode}",
        hint=f"Read the reason in {output}",
        output=output,
    )


def _parent_guard() -> list[str]:
    """Return the prefix of a command line that must end with this process; empty if the system has no such call."""
    if sys.platform != "linux":
        return []
    # Without site packages and environment, since it runs only for a few milliseconds.
    return [sys.executable, "-I", "-S", str(Path(die_with_parent.__file__)), str(os.getpid())]


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        log.warning("child_killed", seconds=STOP_SECONDS, pid=process.pid)
        process.kill()
        process.wait()
