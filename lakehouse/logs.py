"""Logs: events with fields, on standard error; readable on a terminal, JSON lines elsewhere."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog

# py4j logs these with a traceback, and also raises the interruption or the error.
ALSO_RAISED = (
    "KeyboardInterrupt while sending command.",
    "Exception while sending command.",
    "Exception occurred while shutting down connection",
    "There was an exception while executing the Python Proxy on the Python Side.",
)
PY4J_LOGGERS = (None, "py4j.clientserver")


def configure_logs(output: TextIO | None = None) -> None:
    """Configure structlog for this process; called once at each entry point."""
    for name in PY4J_LOGGERS:
        logging.getLogger(name).addFilter(_is_not_also_raised)
    output = output or sys.stderr
    renderer = structlog.dev.ConsoleRenderer() if output.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(output),
    )


def _is_not_also_raised(record: logging.LogRecord) -> bool:
    return record.msg not in ALSO_RAISED
