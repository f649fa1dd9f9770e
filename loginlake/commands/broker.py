"""`loginlake broker`: run a Kafka broker on this machine."""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack

import typer

from lakehouse.entrypoint import stop_on_signals
from lakehouse.errors import BrokerFailed
from lakehouse.options import SettingsCommand
from lakehouse.steps import running, shown_steps

POLL_SECONDS = 0.5

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake broker --kafka 127.0.0.1:9192")
def broker() -> None:
    """Run a Kafka broker on this machine until Ctrl-C; its data is in STATE/broker."""
    from lakehouse.logs import configure_logs
    from lakehouse.settings import load_settings
    from loginlake.broker import embedded_broker

    is_terminal = sys.stderr.isatty()
    # On a terminal the sentence below replaces the event broker_started.
    configure_logs(level=logging.WARNING if is_terminal else logging.INFO)
    settings = load_settings()
    with ExitStack() as started:
        with shown_steps(), running("Starting Kafka, usually 5 s"):
            broker = started.enter_context(embedded_broker(settings))
        stop = started.enter_context(stop_on_signals())
        if is_terminal:
            typer.echo(f"Kafka listens on {broker.servers}; Ctrl-C stops it", err=True)
        while broker.process.poll() is None:
            if stop.wait(POLL_SECONDS):
                return
    raise BrokerFailed(
        "The broker ended by itself", hint=f"Read the reason in {settings.state / 'broker' / 'broker.out'}"
    )
