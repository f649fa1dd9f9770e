"""`loginlake broker`: run a Kafka broker on this machine."""

from __future__ import annotations

import typer

from lakehouse.entrypoint import stop_on_signals
from lakehouse.errors import BrokerFailed
from lakehouse.options import SettingsCommand

POLL_SECONDS = 0.5

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake broker --kafka 127.0.0.1:9192")
def broker() -> None:
    """Run a Kafka broker on this machine until Ctrl-C; its data is in STATE/broker."""
    from lakehouse.logs import configure_logs
    from lakehouse.settings import load_settings
    from loginlake.broker import embedded_broker

    configure_logs()
    settings = load_settings()
    with embedded_broker(settings) as running, stop_on_signals() as stop:
        typer.echo(f"Kafka listens on {running.servers}; Ctrl-C stops it", err=True)
        while running.process.poll() is None:
            if stop.wait(POLL_SECONDS):
                raise KeyboardInterrupt
    raise BrokerFailed(
        "The broker ended by itself", hint=f"Read the reason in {settings.state / 'broker' / 'broker.out'}"
    )
