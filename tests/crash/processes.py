"""Jobs as processes of their own that are stopped, looked at and killed."""

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
from tests.crash.crash_points import LakeFiles, Point
from tests.waiting import PATIENCE_SECONDS, wait_until

LOOK_SECONDS = 0.001


def started(settings: Settings, *words: str, output: Path) -> subprocess.Popen[bytes]:
    """The running verb with these settings, leader of a process group; what it says goes to the end of a file."""
    ours = {f"LOGINLAKE_{name.upper()}": str(getattr(settings, name)) for name in settings.model_fields_set}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOGINLAKE_")}
    with output.open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "loginlake", *words],
            env=kept | ours,
            cwd=output.parent,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )


@contextmanager
def running(settings: Settings, *words: str, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The same for the block, killed at its end if it or its JVM still runs: no failed test leaves a process."""
    job = started(settings, *words, output=output)
    try:
        yield job
    finally:
        if _states(job.pid):
            kill(job)


def kill(job: subprocess.Popen[bytes]) -> float:
    """Kill -9 of the Python process and its JVM at once; gives the moment."""
    killed_at = time.monotonic()
    os.killpg(job.pid, signal.SIGKILL)
    job.wait(PATIENCE_SECONDS)
    # A JVM whose first thread is a zombie already may hold its locks until the last one is gone.
    wait_until(lambda: not _states(job.pid))
    return killed_at


def kill_at(point: Point, job: subprocess.Popen[bytes], sight: LakeFiles) -> float:
    """Kills the job at that point: it is stopped when the files show it, and killed if they still do then."""
    while True:
        wait_until(lambda: point.is_now(sight), job, look_seconds=LOOK_SECONDS)
        stop(job)
        if point.is_now(sight):
            return kill(job)
        os.killpg(job.pid, signal.SIGCONT)


def stop(job: subprocess.Popen[bytes]) -> None:
    """Stops all processes of the job where they are."""
    os.killpg(job.pid, signal.SIGSTOP)
    wait_until(lambda: set(_states(job.pid)) <= {"T", "Z"}, look_seconds=LOOK_SECONDS)


def is_free(port: int) -> bool:
    """True where nothing listens on this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def child_of(job: subprocess.Popen[bytes], *last_words: str) -> int:
    """The process that the job has started with a command that ends with these words."""
    (found,) = (
        pid for pid, stat in _processes() if stat.parent == job.pid and _command(pid)[-len(last_words) :] == last_words
    )
    return found


@dataclass(frozen=True)
class Stat:
    """What the kernel says of a process: its state as a letter, its parent and its group."""

    state: str
    parent: int
    group: int


def _states(group: int) -> list[str]:
    """The states of all processes in a group."""
    return [stat.state for _, stat in _processes() if stat.group == group]


def _processes() -> Iterator[tuple[int, Stat]]:
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, group = file.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):  # it ended between the listing and the reading
            continue
        yield int(file.parent.name), Stat(state, int(parent), int(group))


def _command(pid: int) -> tuple[str, ...]:
    try:
        return tuple(Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0"))
    except (FileNotFoundError, ProcessLookupError):
        return ()
