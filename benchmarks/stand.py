"""What the benchmarks share: a broker of their own, generated events, and tables that are printed."""

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
def own_broker(kafka: str | None = None) -> Iterator[Settings]:
    """Settings of an empty lake, with a broker on a free port unless one is named; all of it goes with the block."""
    with TemporaryDirectory(prefix="loginlake-bench-") as folder:
        place = {"root": str(Path(folder) / "lake"), "state": Path(folder) / "state", "_env_file": None}
        if kafka is not None:
            yield Settings(kafka=kafka, **place)
            return
        settings = Settings(kafka=f"127.0.0.1:{_free_port()}", **place)
        with embedded_broker(settings):
            yield settings


def seconds_of(work: Callable[[], object]) -> float:
    """How long the work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints rows under their columns; figures stand right."""
    cells = [list(columns), *([_shown(value) for value in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
    for row in cells:
        first, *others = (
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join((first, *others)), flush=True)
    print(flush=True)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
