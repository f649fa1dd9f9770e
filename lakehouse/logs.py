"""Logs: events with fields, pretty on a terminal, JSON lines elsewhere, on standard error unless told otherwise."""

from __future__ import annotations

import sys
from typing import TextIO

import structlog


def configure_logs(output: TextIO | None = None) -> None:
    """Sets up structlog once for this process; called at each door."""
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
        cache_logger_on_first_use=True,
    )
