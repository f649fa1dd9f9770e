"""`loginlake up`: run all parts on this machine."""

from __future__ import annotations

import typer

from lakehouse.options import SettingsCommand

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake up --refresh-interval-seconds 15")
def up() -> None:
    """Run the broker (unless --kafka names one), bronze, refresh and the API until Ctrl-C."""
    from lakehouse.settings import load_settings
    from loginlake.preflight import check_startable

    settings = load_settings()
    check_startable(settings)
    from loginlake.local_stack import run_stack  # takes seconds

    run_stack(settings)
