"""The command `loginlake`, assembled from one module per command.

`loginlake <command>` is in `loginlake/commands/<command>.py`. The commands of a single layer are in the `cli.py` of
that layer, which also works without this package: bronze, silver, gold, producer (`produce`) and serving (`serve`).
No module imports Spark, polars or Kafka before its command runs, so that `--help` stays fast.
"""

from __future__ import annotations

from typing import Annotated

import typer

import bronze.cli
import gold.cli
import producer.cli
import serving.cli
import silver.cli
from lakehouse import entrypoint
from lakehouse.options import CommandGroup
from loginlake.commands import (
    backtest,
    broker,
    demo,
    diff,
    doctor,
    history,
    jars,
    label,
    maintain,
    query,
    rebuild,
    redrive,
    refresh,
    score,
    sql,
    tables,
    up,
    verify,
)

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    help="The lakehouse for login events: Kafka, Delta Lake, Spark and a REST API.",
    epilog="Every setting is also an option of every command: --root ./lake sets LOGINLAKE_ROOT=./lake. "
    "`loginlake COMMAND --help` lists them.",
)


def main() -> None:
    """Run the command line; the script `loginlake`."""
    entrypoint.run(app)


def _print_version(is_given: bool) -> None:
    if is_given:
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
    """Take the options before the command."""


# In the order that `loginlake --help` lists them.
app.add_typer(demo.app)
app.add_typer(up.app)
app.add_typer(broker.app)
app.add_typer(producer.cli.app, name="produce")
app.add_typer(bronze.cli.app)
app.add_typer(silver.cli.app)
app.add_typer(gold.cli.app)
app.add_typer(refresh.app)
app.add_typer(maintain.app)
app.add_typer(rebuild.app)
app.add_typer(redrive.app)
app.add_typer(serving.cli.app)
app.add_typer(verify.app)
app.add_typer(tables.app)
app.add_typer(history.app)
app.add_typer(query.app)
app.add_typer(diff.app)
app.add_typer(sql.app)
app.add_typer(label.app)
app.add_typer(score.app)
app.add_typer(backtest.app)
app.add_typer(doctor.app)
app.add_typer(jars.app)
