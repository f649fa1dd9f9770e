"""`loginlake sql`: answer a SELECT over the tables of one snapshot, without Spark."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lakehouse.options import SettingsCommand
from lakehouse.tables import TABLES, VIEWS
from lakehouse.tables.metrics import METRICS
from loginlake.commands.output import Columns, Format, Json, Vertical, requested_output
from loginlake.commands.reading import AsOf, SnapshotId, open_store, requested_snapshot
from loginlake.terminal import print_table

NAMES = ", ".join(table.name for table in TABLES.values())
COMPUTED = ", ".join(view.name for view in VIEWS.values())
METRIC_VIEWS = ", ".join(f"{metric.name}_{'|'.join(metric.every)}" for metric in METRICS)
HELP = (
    "Answer a SELECT over all tables of one snapshot.\n\n"
    f"Tables can be named with or without their layer: {NAMES}. The view logins holds the login attempts: accepted "
    f"rows of events with action login. The views {COMPUTED} are computed when they are read. Each metric has a "
    f"view per window: {METRIC_VIEWS}. Put reserved words into double "
    """quotes: "offset". Times are UTC: event_at > now() - interval '1 day', event_at >= '2026-01-31T08:00:00Z'.\n\n"""
    "Without a SELECT a prompt reads statements that end with a semicolon, until \\q or Ctrl-D; where standard input "
    "is not a terminal, its statements are answered one after another, up to the first error."
)
EXAMPLE = "loginlake sql 'select src_ip, sum(times) as n from logins group by src_ip' --snapshot 1"

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, help=HELP, epilog=f"For example: {EXAMPLE}")
def sql(  # noqa: PLR0913 - each parameter is an option of the command
    statement: Annotated[
        str | None,
        typer.Argument(metavar="SELECT", help="A SELECT in the dialect of polars; without it, a prompt opens."),
    ] = None,
    *,
    as_of: AsOf = None,
    snapshot: SnapshotId = None,
    form: Format = None,
    json: Json = False,
    columns: Columns = None,
    vertical: Vertical = False,
) -> None:
    """Answer a SELECT over all tables of one snapshot; `HELP` is the text for the user."""
    output = requested_output(form, json=json, columns=columns, vertical=vertical)
    store = open_store()
    from serving.sql import sql_answer
    from serving.statement import described_name

    is_named = as_of is not None or snapshot is not None
    named = requested_snapshot(store, as_of=as_of, snapshot=snapshot) if is_named else None

    def answer(text: str) -> None:
        rows = sql_answer(text, store, snapshot=named or store.snapshot())
        if output.is_table and described_name(text) is not None:
            print_table(*rows.columns, rows=rows.rows())  # with its long texts on several lines
        else:
            output.write(rows)

    if statement is not None:
        answer(statement.rstrip().rstrip(";"))
        return
    from loginlake.sql_prompt import line_history, read_statements, statements_in

    if not sys.stdin.isatty():
        for each in statements_in(sys.stdin.read()):
            answer(each)
        return
    with line_history():
        read_statements(answer, lines=input)
