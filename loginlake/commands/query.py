"""The read verbs: `tables`, `history`, `query` and `sql`, without Spark."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.clock import utc_now
from lakehouse.errors import BadQuery
from lakehouse.options import SettingsCommand
from loginlake.commands.output import FORMS, write_rows

if TYPE_CHECKING:
    import polars as pl

    from serving.store import Store

# A table is for reading; all rows are for a file.
ROWS_SHOWN = 100

Pairs = list[tuple[str, str]]

AsOf = Annotated[
    str | None, typer.Option("--as-of", metavar="T", help="Read the last snapshot published at or before T (RFC 3339).")
]
SnapshotId = Annotated[str | None, typer.Option("--snapshot", metavar="N", help="Read the snapshot of this id.")]
Format = Annotated[str, typer.Option("--format", metavar="|".join(FORMS), help="How the rows are written.")]
Json = Annotated[bool, typer.Option("--json", help="The same as --format json.")]

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake tables --json")
def tables(*, form: Format = "table", json: Json = False) -> None:
    """List the tables of the lake: the version that the last snapshot names, and what one row is."""
    form = _form(form, json=json)
    store = _store()
    import polars as pl

    from lakehouse.tables import TABLES

    snapshots = store.snapshots()
    versions = snapshots[-1].versions if snapshots else {}
    listed = [
        {"table": table.full_name, "version": versions.get(table.full_name), "grain": table.grain}
        for table in TABLES.values()
    ]
    write_rows(pl.DataFrame(listed, schema_overrides={"version": pl.Int64}), form)


@app.command(cls=SettingsCommand, epilog="For example: loginlake history silver.events --limit 5")
def history(
    table: Annotated[str, typer.Argument(help="Its name, with or without its layer.")],
    *,
    limit: Annotated[str, typer.Option(metavar="ROWS", help="Versions at most.")] = "20",
    form: Format = "table",
    json: Json = False,
) -> None:
    """Show the versions of a table, the newest first, published or not."""
    form = _form(form, json=json)
    store = _store()
    import msgspec
    import polars as pl

    from lakehouse.tables import table_named
    from serving.parameters import LARGEST_LIMIT, integer_between

    commits = [
        asdict(commit) for commit in store.history(table_named(table), limit=integer_between(1, LARGEST_LIMIT)(limit))
    ]
    for commit in commits:
        commit["metrics"] = msgspec.json.encode(commit["metrics"], order="sorted").decode()
    write_rows(pl.DataFrame(commits), form)


@app.command(
    cls=SettingsCommand,
    epilog="For example: loginlake query ip_activity --every day --order-by=-attempts --limit 5 --snapshot 1",
)
def query(  # noqa: PLR0913 - each parameter is an option of the command
    name: Annotated[str, typer.Argument(metavar="TABLE|METRIC", help="A metric, or a table such as silver.events.")],
    *,
    every: Annotated[str | None, typer.Option(metavar="hour|day", help="Length of a metric's windows.")] = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="T", help="First instant that is wanted: RFC 3339, or -24h, -7d.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="T", help="First instant no more wanted.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="Only such rows; repeat it for more. COLUMN__ne=VALUE for others."),
    ] = None,
    order_by: Annotated[
        str | None, typer.Option(metavar="-A,B", help="Columns to sort by, - for largest first.")
    ] = None,
    limit: Annotated[
        str | None, typer.Option(metavar="ROWS", help=f"Rows at most; all unless given, a table shows {ROWS_SHOWN}.")
    ] = None,
    as_of: AsOf = None,
    snapshot: SnapshotId = None,
    version: Annotated[
        str | None, typer.Option(metavar="N", help="Read this version of the table alone, published or not.")
    ] = None,
    form: Format = "table",
    json: Json = False,
) -> None:
    """Print rows of a metric or of a table, at the last snapshot or an earlier one.

    --from and --to are about the windows of a metric, and of a table about the instant whose day its files are laid
    out by: fired_at of detections, event_at of silver.events (rows without one are in no period), ingested_at of
    bronze.raw_logs.

    Attempts per address and day, as a file: loginlake query ip_activity --every day --format csv
    """
    form = _form(form, json=json)
    store = _store()
    from lakehouse.tables import METRICS_BY_NAME

    options = {"every": every, "from": since, "to": until, "order_by": order_by, "version": version}
    options |= {"as_of": as_of, "snapshot": snapshot}
    pairs = _given_pairs(**options) + [_condition(text, options={*options, "limit"}) for text in where or []]
    if version is not None and name in METRICS_BY_NAME:
        raise BadQuery(f"{name} is a metric, and has no versions", hint=f"Name its table: gold.{name}")
    rows_of = _metric_rows if name in METRICS_BY_NAME else _table_rows
    rows = rows_of(name, pairs, limit=_at_most(limit, form), store=store)
    if limit is None and form == "table" and rows.height > ROWS_SHOWN:
        rows = rows.head(ROWS_SHOWN)
        typer.echo(f"The first {ROWS_SHOWN} rows; there are more: give --limit, or --format csv for all", err=True)
    write_rows(rows, form)


@app.command(
    cls=SettingsCommand,
    epilog="For example: loginlake sql 'select src_ip, sum(times) as n from logins group by src_ip' --snapshot 1",
)
def sql(
    statement: Annotated[str, typer.Argument(metavar="SELECT", help="SQL as polars speaks it.")],
    *,
    as_of: AsOf = None,
    snapshot: SnapshotId = None,
    form: Format = "table",
    json: Json = False,
) -> None:
    """Answer a SELECT over all tables of one snapshot.

    The tables go by their names, with or without the layer: raw_logs, events, pair_activity_hourly, ip_activity,
    user_activity, app_activity, detections, restatements, snapshots. The view logins has the attempts: accepted rows
    of events with action login. Words that SQL keeps for itself stand in double quotes: "offset".

    For example: loginlake sql 'select username, sum(times) as n from logins group by username'
    """
    form = _form(form, json=json)
    store = _store()
    from serving.parameters import AS_OF, SNAPSHOT, check_params
    from serving.queries import requested_snapshot
    from serving.sql import sql_answer

    params = check_params(_given_pairs(as_of=as_of, snapshot=snapshot), (AS_OF, SNAPSHOT))
    write_rows(sql_answer(statement, store, snapshot=requested_snapshot(params, store)), form)


def _metric_rows(name: str, pairs: Pairs, *, limit: int | None, store: Store) -> pl.DataFrame:
    from serving.parameters import AS_OF, SNAPSHOT, check_params
    from serving.queries import (
        metric_named,
        metric_parameters,
        metric_rows_at_snapshot,
        parse_metric_query,
        requested_snapshot,
    )

    metric = metric_named(name)
    params = check_params(pairs, (*metric_parameters(metric), AS_OF, SNAPSHOT))
    query = parse_metric_query(metric, params, now=utc_now())
    with_limit = replace(query, selection=replace(query.selection, limit=limit))
    return metric_rows_at_snapshot(with_limit, store, snapshot=requested_snapshot(params, store))


def _table_rows(name: str, pairs: Pairs, *, limit: int | None, store: Store) -> pl.DataFrame:
    from lakehouse.tables import table_named
    from serving.parameters import check_params
    from serving.queries import parse_table_query, requested_rows, table_parameters

    table = table_named(name)
    params = check_params(pairs, table_parameters(table))
    return requested_rows(parse_table_query(table, params, limit=limit, now=utc_now()), store, params=params)


def _store() -> Store:
    """The lake that the settings name."""
    from lakehouse.settings import load_settings
    from serving.store import Store

    return Store(load_settings())


def _given_pairs(**options: str | None) -> Pairs:
    return [(option, text) for option, text in options.items() if text is not None]


def _condition(text: str, *, options: set[str]) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not equals:
        raise BadQuery(f"--where {text!r} has no =", hint="Write --where COLUMN=VALUE")
    if column in options:
        raise BadQuery(f"{column} is no column", hint=f"Give it as --{column.replace('_', '-')}")
    return column, value


def _at_most(limit: str | None, form: str) -> int | None:
    """Rows to read: as many as asked for; else all, of which a table needs one more than it shows."""
    if limit is not None:
        from serving.parameters import LARGEST_LONG, integer_between

        return integer_between(1, LARGEST_LONG)(limit)
    return ROWS_SHOWN + 1 if form == "table" else None


def _form(form: str, *, json: bool) -> str:
    if json:
        return "json"
    if form not in FORMS:
        raise BadQuery(f"{form!r} is no format", hint=f"Use one of {', '.join(FORMS)}")
    return form
