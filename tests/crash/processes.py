"""Start commands as processes of their own, and stop and kill them together with their JVM."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lakehouse.settings import Settings
from tests.crash.crash_points import CrashPoint, LakeFiles
from tests.waiting import TIMEOUT_SECONDS, wait_until

POLL_SECONDS = 0.001


def start(settings: Settings, *arguments: str, output: Path) -> subprocess.Popen[bytes]:
    """Start a command with these settings as the leader of a process group; append its output to a file."""
    ours = {f"LOGINLAKE_{name.upper()}": str(getattr(settings, name)) for name in settings.model_fields_set}
    others = {name: value for name, value in os.environ.items() if not name.startswith("LOGINLAKE_")}
    with output.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "loginlake", *arguments],
            env=others | ours,
            cwd=output.parent,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


@contextmanager
def running(settings: Settings, *arguments: str, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command for the block, and kill it at the end if it or its JVM still runs."""
    process = start(settings, *arguments, output=output)
    try:
        yield process
    finally:
        if _states(process.pid):
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> float:
    """Kill the process and its JVM with SIGKILL and return the time of the kill."""
    killed_at = time.monotonic()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(TIMEOUT_SECONDS)
    # A JVM may hold its locks until its last thread has ended, which is after its first thread became a zombie.
    wait_until(lambda: not _states(process.pid))
    return killed_at


def jvm_that_writes(process: subprocess.Popen[bytes], files: LakeFiles) -> int | None:
    """Return the id of the process's JVM once it holds a writer's lock; None before."""
    return next((holder["jvm"] for holder in files.lock_holders() if holder["pid"] == process.pid), None)


def stop_at(point: CrashPoint, process: subprocess.Popen[bytes], files: LakeFiles) -> None:
    """Stop the process when the files show the crash point; continue it if they no longer do once it has stopped."""
    # Until then Spark starts, which needs the cores more than frequent checks do.
    wait_until(lambda: jvm_that_writes(process, files) is not None, process)
    while True:
        wait_until(lambda: point.is_now(files), process, poll_seconds=POLL_SECONDS)
        stop(process)
        if point.is_now(files):
            return
        os.killpg(process.pid, signal.SIGCONT)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop all processes of the process group with SIGSTOP."""
    os.killpg(process.pid, signal.SIGSTOP)
    wait_until(lambda: set(_states(process.pid)) <= {"T", "Z"}, poll_seconds=POLL_SECONDS)


def is_port_free(port: int) -> bool:
    """True if nothing listens on the port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def child_pid(process: subprocess.Popen[bytes], *last_arguments: str) -> int:
    """Return the id of the child process whose command line ends with these arguments."""
    (pid,) = (
        pid
        for pid, stat in _processes()
        if stat.parent == process.pid and _command_line(pid)[-len(last_arguments) :] == last_arguments
    )
    return pid


@dataclass(frozen=True)
class Stat:
    """The state of a process as a letter, its parent and its group."""

    state: str
    parent: int
    group: int


def _states(group: int) -> list[str]:
    """Return the states of all processes in a group."""
    return [stat.state for _, stat in _processes() if stat.group == group]


def _processes() -> Iterator[tuple[int, Stat]]:
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, group = file.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):  # the process has ended since it was listed
            continue
        yield int(file.parent.name), Stat(state, int(parent), int(group))


def _command_line(pid: int) -> tuple[str, ...]:
    try:
        return tuple(Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0"))
    except (FileNotFoundError, ProcessLookupError):
        return ()
