"""Logs: events with fields, on standard error; readable on a terminal, JSON lines elsewhere."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import structlog

if TYPE_CHECKING:
    from lakehouse.settings import Settings

STDERR = 2

# py4j logs these with a traceback, and also raises the interruption or the error.
ALSO_RAISED = (
    "KeyboardInterrupt while sending command.",
    "Exception while sending command.",
    "Exception occurred while shutting down connection",
    "There was an exception while executing the Python Proxy on the Python Side.",
)
PY4J_LOGGERS = (None, "py4j.clientserver")


def configure_logs(output: TextIO | None = None, *, level: int = logging.INFO) -> None:
    """Configure structlog for this process; called once at each entry point.

    Args:
        output: Where events are written; by default standard error.
        level: Less important events are not written.
    """
    for name in PY4J_LOGGERS:
        logging.getLogger(name).addFilter(_is_not_also_raised)
    is_terminal = (output or sys.stderr).isatty()
    renderer = (
        structlog.dev.ConsoleRenderer(sort_keys=False, pad_event_to=0)
        if is_terminal
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%SZ" if is_terminal else "iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Standard error is looked up at each event: it is replaced while a terminal shows the steps of a job.
        logger_factory=lambda *_: structlog.PrintLogger(output or sys.stderr),
    )


def log_folder(settings: Settings) -> Path:
    """Return the folder with the logs of the stack's processes."""
    return settings.state / "logs"


@contextmanager
def stderr_to(output: Path) -> Iterator[None]:
    """Append the standard error of processes that are started in the block to a file; this process keeps its own.

    Spark's JVM takes no other: it warns about itself at each start.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    with output.open("ab") as file, os.fdopen(os.dup(STDERR), "w") as own, redirect_stderr(own):
        os.dup2(file.fileno(), STDERR)
        try:
            yield
        finally:
            own.flush()
            os.dup2(own.fileno(), STDERR)


def _is_not_also_raised(record: logging.LogRecord) -> bool:
    return record.msg not in ALSO_RAISED
