"""The doors: how a command starts and stops, and how it ends: an error of ours is one line, never a traceback."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from lakehouse.error_translation import translated_errors
from lakehouse.errors import LakehouseError, MissingExtra

INTERRUPTED = 130

# The extra that brings a module, for those that a command may find missing.
EXTRAS = {
    "confluent_kafka": "producer",
    "delta": "spark",
    "deltalake": "serving",
    "duckdb": "verify",
    "fastapi": "serving",
    "polars": "serving",
    "uvicorn": "serving",
    "jgo": "spark",
    "pyspark": "spark",
}


def run(app: typer.Typer) -> None:
    """Runs the command line and exits: 0, the error's exit code, 2 for usage, 130 for Ctrl-C or SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: a script's `&` has it ignored
        signal.signal(number, signal.default_int_handler)
    try:
        with translated_errors():
            _run(app)
    except LakehouseError as error:
        typer.echo(error, err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _run(app: typer.Typer) -> None:
    try:
        app()
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS:
            raise
        raise MissingExtra(
            f"This install has no {module}", hint=f"Install it with `pip install 'loginlake[{EXTRAS[module]}]'`"
        ) from error


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets; the second ends the block at once.

    Raises:
        KeyboardInterrupt: At the second signal.
    """
    stop = threading.Event()
    # By another thread: this one may just be holding the event's lock.
    asking = threading.Thread(target=stop.set)

    def ask(_number: int, _frame: object) -> None:
        for number in before:
            signal.signal(number, signal.default_int_handler)
        asking.start()

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if asking.ident is not None:
            asking.join()
