"""`loginlake demo`: show the whole flow on generated events."""

from __future__ import annotations

from typing import Annotated

import typer

from lakehouse.options import SettingsCommand

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake demo --once")
def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="Stop after the report, without the live part.")] = False,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="First move the lake aside, and the data of the broker that the demo starts."),
    ] = False,
) -> None:
    """Show the whole flow on generated events, then continue live until Ctrl-C."""
    from lakehouse.settings import load_settings
    from loginlake.preflight import check_startable

    settings = load_settings()
    check_startable(settings)
    from loginlake.demo import run_demo  # takes seconds

    run_demo(settings, once=once, fresh=fresh)
