"""Wait for a condition by checking it repeatedly."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

# Spark starts slowly on a busy machine.
TIMEOUT_SECONDS = 300.0


def wait_until(
    condition: Callable[[], bool],
    *processes: subprocess.Popen[bytes],
    seconds: float = TIMEOUT_SECONDS,
    poll_seconds: float = 0.1,
) -> None:
    """Wait until the condition is true; fail after a timeout, or as soon as one of the processes has ended.

    Checks take at most a fifth of the time: the processes that are waited for need the cores.
    """
    deadline = time.monotonic() + seconds
    while True:
        check_started = time.monotonic()
        if condition():
            return
        for process in processes:
            assert process.poll() is None, f"{process.args} ended with exit code {process.returncode}"
        check_ended = time.monotonic()
        assert check_ended < deadline, f"the condition was still false after {seconds:g} s"
        time.sleep(max(poll_seconds, 4 * (check_ended - check_started)))
