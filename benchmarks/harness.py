"""Shared parts of the benchmarks: an embedded broker with an empty lake, timing, and printed tables."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from lakehouse.settings import Settings
from loginlake.broker import embedded_broker


@contextmanager
def empty_lake(kafka: str | None = None) -> Iterator[Settings]:
    """Yield settings of an empty lake and its broker; both are removed at the end of the block.

    Args:
        kafka: Servers of a running broker; without them an embedded broker starts on a free port.
    """
    with TemporaryDirectory(prefix="loginlake-bench-") as folder:
        folders = {"root": str(Path(folder) / "lake"), "state": Path(folder) / "state", "_env_file": None}
        if kafka is not None:
            yield Settings(kafka=kafka, **folders)
            return
        settings = Settings(kafka=f"127.0.0.1:{free_port()}", **folders)
        with embedded_broker(settings):
            yield settings


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long the work takes, in seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their column names; all columns but the first are right-aligned."""
    cells = [list(columns), *([_formatted(value) for value in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
    for row in cells:
        first, *others = (
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join((first, *others)), flush=True)
    print(flush=True)


def _formatted(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def free_port() -> int:
    """Return a port of loopback on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
