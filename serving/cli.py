"""The command `loginlake serve`."""

from __future__ import annotations

import typer

from lakehouse.options import SettingsCommand

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake serve --port 8080")
def serve() -> None:
    """Serve the API at --host and --port until Ctrl-C."""
    from lakehouse.logs import configure_logs
    from lakehouse.settings import load_settings
    from serving import server

    configure_logs()
    server.serve(load_settings())
