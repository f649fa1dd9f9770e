"""The command `loginlake`: every verb, each loading only what it needs."""

from __future__ import annotations

from typing import Annotated

import typer

from bronze.cli import app as bronze
from gold.cli import app as gold
from gold.cli import outcome
from lakehouse import entrypoint
from lakehouse.entrypoint import stop_on_signals
from lakehouse.errors import BrokerFailed
from lakehouse.job import spark_job
from lakehouse.options import SettingsCommand
from loginlake.commands.maintain import app as maintaining
from loginlake.commands.output import print_table
from loginlake.commands.query import app as read
from loginlake.commands.repair import app as mending
from loginlake.commands.verify import app as verify
from loginlake.durations import seconds
from producer.cli import app as produce
from serving.cli import app as serve
from silver.cli import app as silver

POLL_SECONDS = 0.5

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The lakehouse for login events: Kafka, Delta Lake, Spark and a REST API.",
    epilog="Every setting is a flag of every command, too: --root ./lake is LOGINLAKE_ROOT=./lake. "
    "The README lists them all.",
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """The script `loginlake`."""
    entrypoint.run(app)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"loginlake {version('loginlake')}")
        raise typer.Exit


@app.callback()
def loginlake(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Takes what stands before the verb."""


@app.command(cls=SettingsCommand, epilog="For example: loginlake demo --once")
def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="End after the panel, without the live part.")] = False,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Move the lake aside first, and the data of the broker that is started here."),
    ] = False,
) -> None:
    """Show the whole flow on generated events, then go on live until Ctrl-C."""
    from lakehouse.settings import load_settings
    from loginlake import demo

    demo.demo(load_settings(), once=once, fresh=fresh)


@app.command(cls=SettingsCommand, epilog="For example: loginlake up --refresh-interval-seconds 15")
def up() -> None:
    """Run everything until Ctrl-C: broker (unless --kafka names one), bronze, refresh and the API."""
    from lakehouse.settings import load_settings
    from loginlake import demo

    demo.up(load_settings())


@app.command(cls=SettingsCommand, epilog="For example: loginlake broker --kafka 127.0.0.1:9192")
def broker() -> None:
    """Run a Kafka broker on this machine until Ctrl-C; its data lies in STATE/broker."""
    from lakehouse.logs import configure_logs
    from lakehouse.settings import load_settings
    from loginlake.broker import embedded_broker

    configure_logs()
    settings = load_settings()
    with embedded_broker(settings) as running, stop_on_signals() as stop:
        typer.echo(f"Kafka listens on {running.servers}; Ctrl-C stops it", err=True)
        while running.process.poll() is None:
            if stop.wait(POLL_SECONDS):
                return
    raise BrokerFailed("The broker ended by itself", hint=f"See why in {settings.state / 'broker' / 'broker.out'}")


app.add_typer(produce, name="produce")
app.add_typer(bronze)
app.add_typer(silver)
app.add_typer(gold)


@app.command(cls=SettingsCommand, epilog="For example: loginlake refresh --every 60s")
def refresh(
    *, every: Annotated[str | None, typer.Option(metavar="60s", help="Go on until Ctrl-C, at most this often.")] = None
) -> None:
    """Bring silver up to bronze and gold up to silver, and publish the next snapshot."""
    pace = seconds(every) if every else None
    with spark_job("refresh") as lake:
        from loginlake import pipeline

        if pace is None:
            typer.echo(outcome(pipeline.refresh(lake)))
            return
        with stop_on_signals() as stop:
            pipeline.refresh_every(lake, stop, seconds=pace, published=lambda snapshot: typer.echo(outcome(snapshot)))


app.add_typer(maintaining)
app.add_typer(mending)
app.add_typer(serve)
app.add_typer(verify)
app.add_typer(read)


@app.command(cls=SettingsCommand, epilog="For example: loginlake doctor --json")
def doctor(*, json: Json = False) -> None:
    """Check Python, Java, Spark, Delta, jars, ports, disk and settings, and say how to mend what is wrong."""
    from loginlake.doctor import Finding, State, diagnose

    findings = diagnose()
    if json:
        _print_json([finding.to_dict() for finding in findings])
    else:
        print_table(*Finding.COLUMNS, rows=[finding.cells() for finding in findings])
    if any(finding.state is State.FAIL for finding in findings):
        raise typer.Exit(1)


@app.command(cls=SettingsCommand, epilog="For example: loginlake jars")
def jars() -> None:
    """Fetch the jars that are missing from the user's cache, checked against the lock."""
    from lakehouse.jars import jar_paths
    from lakehouse.settings import load_settings

    settings = load_settings()
    for group in ("spark", "broker"):
        paths = jar_paths(settings, group, progress=lambda jar: typer.echo(f"fetching {jar}", err=True))
        typer.echo(f"{len(paths)} jars of {group} are there, as locked")


def _print_json(value: object) -> None:
    import json

    typer.echo(json.dumps(value, indent=2))
