"""The entry point of every command: signals, exit codes, and errors printed as one line instead of a traceback."""

from __future__ import annotations

import shutil
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from lakehouse.error_translation import translated_errors
from lakehouse.errors import LakehouseError, MissingExtra

INTERRUPTED = 130

# The extra that installs each module that a command may find missing.
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
    """Run the command line and exit: with 0, the error's exit code, 2 for wrong usage, 130 after Ctrl-C or SIGTERM."""
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # SIGINT too: a shell script starts background commands with it ignored
        signal.signal(number, signal.default_int_handler)
    try:
        with translated_errors():
            _run(app)
    except LakehouseError as error:
        print_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def print_error(error: LakehouseError) -> None:
    """Print an error on standard error, as `print_text` does."""
    print_text(str(error), err=True)


def print_text(text: str, *, err: bool = False) -> None:
    """Print a text as it is; on a terminal, its lines are broken between words, with the same indent."""
    if (sys.stderr if err else sys.stdout).isatty():
        columns = shutil.get_terminal_size().columns
        text = "\n".join(_filled(line, columns) for line in text.splitlines())
    typer.echo(text, err=err)


def _filled(line: str, columns: int) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(line, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _run(app: typer.Typer) -> None:
    try:
        app()
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS:
            raise
        raise MissingExtra(
            f"The package {module} is not installed",
            hint=f"Install it with `pip install 'loginlake[{EXTRAS[module]}]'`",
        ) from error


@contextmanager
def stop_on_signals(*, finishing: str | None = None) -> Iterator[threading.Event]:
    """Yield an event that the first SIGINT or SIGTERM sets; the second signal interrupts the block.

    Args:
        finishing: What the block may have to finish first, such as "a refresh"; the first signal reports it at once.

    Raises:
        KeyboardInterrupt: A second signal arrived.
    """
    stop = threading.Event()

    def set_and_report() -> None:
        stop.set()
        if finishing is not None:
            typer.echo(f"\nStopping, after {finishing} if one runs …; Ctrl-C again to end now", err=True)

    # In another thread, since this one may hold the event's lock when the signal arrives.
    setting = threading.Thread(target=set_and_report)

    def request_stop(_number: int, _frame: object) -> None:
        for number in before:
            signal.signal(number, signal.default_int_handler)
        setting.start()

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, request_stop)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if setting.ident is not None:
            setting.join()
