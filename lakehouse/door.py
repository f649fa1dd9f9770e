"""How every command ends: an error of ours is one line on standard error and an exit code, never a traceback."""

from __future__ import annotations

import sys

import typer

from lakehouse.errors import LakehouseError

INTERRUPTED = 130


def run(app: typer.Typer) -> None:
    """Runs a command line and exits: 0, the error's exit code, 2 for usage, 130 for Ctrl-C."""
    try:
        app()
    except LakehouseError as error:
        typer.echo(error, err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
