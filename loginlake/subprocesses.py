"""Processes that we start: their output in a log file, their end with ours."""

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
    """The running process for the block; at its end it gets SIGTERM, and is killed if it does not heed that.

    It runs in a session of its own, so that Ctrl-C reaches us alone and we end each process in its turn. Where we are
    killed, it gets SIGTERM too (on Linux, when the thread that called this ends: call it from the main one).

    Args:
        command: The program and its arguments.
        output: Receives what it prints, after what is there already.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("ab") as file:
        process = subprocess.Popen(
            [*_tie(), *command], stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    try:
        yield process
    finally:
        _stop(process)


def run_child(command: list[str], *, output: Path) -> None:
    """Runs the process to its end.

    Raises:
        ProcessFailed: It ended with another exit code than 0.
    """
    with child(command, output=output) as process:
        process.wait()
    if process.returncode != 0:
        raise child_failed(process, output)


def child_failed(process: subprocess.Popen[bytes], output: Path) -> ProcessFailed:
    """The error of a process that ended as it should not."""
    _program, *arguments = cast("list[str]", process.args)[len(_tie()) :]
    return ProcessFailed(
        f"`{' '.join(arguments)}` ended with exit code {process.returncode}", hint=f"See why in {output}", output=output
    )


def _tie() -> list[str]:
    """What stands before a command that is to end with us; nothing where the system can't do that."""
    if sys.platform != "linux":
        return []
    # Neither site packages nor the environment: it is there for a few milliseconds.
    return [sys.executable, "-I", "-S", str(Path(die_with_parent.__file__)), str(os.getpid())]


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        log.warning("child_killed", seconds=STOP_SECONDS, pid=process.pid)
        process.kill()
        process.wait()
