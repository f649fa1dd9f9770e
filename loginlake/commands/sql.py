"""`loginlake sql`: answer a SELECT over the tables of one snapshot, without Spark."""

from __future__ import annotations

from typing import Annotated

import typer

from lakehouse.options import SettingsCommand
from loginlake.commands.output import Format, Json, output_format, write_rows
from loginlake.commands.reading import AsOf, SnapshotId, open_store, query_pairs

EXAMPLE = "loginlake sql 'select src_ip, sum(times) as n from logins group by src_ip' --snapshot 1"

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog=f"For example: {EXAMPLE}")
def sql(
    statement: Annotated[str, typer.Argument(metavar="SELECT", help="A SELECT statement in the dialect of polars.")],
    *,
    as_of: AsOf = None,
    snapshot: SnapshotId = None,
    form: Format = "table",
    json: Json = False,
) -> None:
    """Answer a SELECT over all tables of one snapshot.

    Tables can be named with or without their layer: raw_logs, events, pair_activity_hourly, ip_activity,
    user_activity, app_activity, detections, restatements, snapshots. The view logins holds the login attempts:
    accepted rows of events with action login. Put reserved words into double quotes: "offset".
    """
    form = output_format(form, json=json)
    store = open_store()
    from serving.parameters import AS_OF, SNAPSHOT, check_params
    from serving.queries import requested_snapshot
    from serving.sql import sql_answer

    params = check_params(query_pairs(as_of=as_of, snapshot=snapshot), (AS_OF, SNAPSHOT))
    write_rows(sql_answer(statement, store, snapshot=requested_snapshot(params, store)), form)
