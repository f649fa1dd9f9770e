"""The command that serves the API."""

from __future__ import annotations

import typer

from lakehouse.options import SettingsCommand

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake serve --port 8080")
def serve() -> None:
    """Serve the API until Ctrl-C; every setting is a flag too, such as --root, --host and --port."""
    from lakehouse.logs import configure_logs
    from lakehouse.settings import load_settings
    from serving import server

    configure_logs()
    server.serve(load_settings())
