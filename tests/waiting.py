"""Waiting for something to come about, by looking again and again."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

# A busy machine takes long to start Spark.
PATIENCE_SECONDS = 300.0


def wait_until(
    holds: Callable[[], bool],
    *alive: subprocess.Popen[bytes],
    seconds: float = PATIENCE_SECONDS,
    look_seconds: float = 0.1,
) -> None:
    """Looks until something holds, while processes live; four fifths of the time it sleeps, since cores are few."""
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if holds():
            return
        for process in alive:
            assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        looked = time.monotonic()
        assert looked < deadline, "it did not come"
        time.sleep(max(look_seconds, 4 * (looked - began)))
