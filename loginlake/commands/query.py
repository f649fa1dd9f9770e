"""`loginlake query`: print rows of a metric or of a table, without Spark."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.clock import utc_now
from lakehouse.errors import BadQuery
from lakehouse.options import SettingsCommand
from loginlake.commands.output import Format, Json, output_format, write_rows
from loginlake.commands.reading import AsOf, Pairs, SnapshotId, open_store, query_pairs

if TYPE_CHECKING:
    import polars as pl

    from serving.store import Store

# A table on a terminal shows at most this many rows; the other formats write all.
ROWS_SHOWN = 100
EXAMPLE = "loginlake query ip_activity --every day --order-by=-attempts --limit 5 --snapshot 1"

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog=f"For example: {EXAMPLE}")
def query(  # noqa: PLR0913 - each parameter is an option of the command
    name: Annotated[
        str, typer.Argument(metavar="TABLE|METRIC", help="Name of a metric, or of a table such as silver.events.")
    ],
    *,
    every: Annotated[str | None, typer.Option(metavar="hour|day", help="Length of a metric's windows.")] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="T", help="Start of the time range (inclusive): RFC 3339, or -24h, -7d."),
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="T", help="End of the time range (exclusive).")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE",
            help="Keep rows with this value; COLUMN__ne=VALUE keeps the others. Repeat it to combine conditions.",
        ),
    ] = None,
    order_by: Annotated[
        str | None, typer.Option(metavar="-A,B", help="Columns to sort by; - sorts a column in descending order.")
    ] = None,
    limit: Annotated[
        str | None,
        typer.Option(metavar="ROWS", help=f"Maximum number of rows. Default: all, but {ROWS_SHOWN} in a table."),
    ] = None,
    as_of: AsOf = None,
    snapshot: SnapshotId = None,
    version: Annotated[
        str | None, typer.Option(metavar="N", help="Read this version of the one table, published or not.")
    ] = None,
    form: Format = "table",
    json: Json = False,
) -> None:
    """Print rows of a metric or of a table, at the last snapshot or an earlier one.

    --from and --to select windows of a metric. For a table they select by the instant that its partitions are derived
    from: fired_at of detections, event_at of silver.events (rows without one are never selected), ingested_at of
    bronze.raw_logs.

    Attempts per address and day, as a file: loginlake query ip_activity --every day --format csv
    """
    form = output_format(form, json=json)
    store = open_store()
    from lakehouse.tables import METRICS_BY_NAME

    options = {"every": every, "from": since, "to": until, "order_by": order_by, "version": version}
    options |= {"as_of": as_of, "snapshot": snapshot}
    pairs = query_pairs(**options) + [_condition(text, options={*options, "limit"}) for text in where or []]
    if version is not None and name in METRICS_BY_NAME:
        raise BadQuery(f"{name} is a metric and has no versions", hint=f"Name its table: gold.{name}")
    rows_of = _metric_rows if name in METRICS_BY_NAME else _table_rows
    rows = rows_of(name, pairs, limit=_row_limit(limit, form), store=store)
    if limit is None and form == "table" and rows.height > ROWS_SHOWN:
        rows = rows.head(ROWS_SHOWN)
        typer.echo(f"The first {ROWS_SHOWN} rows of more; use --limit, or --format csv for all rows", err=True)
    write_rows(rows, form)


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


def _condition(text: str, *, options: set[str]) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not equals:
        raise BadQuery(f"--where {text!r} has no =", hint="Write --where COLUMN=VALUE")
    if column in options:
        raise BadQuery(f"{column} is an option, not a column", hint=f"Write it as --{column.replace('_', '-')}")
    return column, value


def _row_limit(limit: str | None, form: str) -> int | None:
    """Return the number of rows to read: --limit, or for a table one more than it shows, or None for all."""
    if limit is not None:
        from serving.parameters import LARGEST_LONG, integer_between

        return integer_between(1, LARGEST_LONG)(limit)
    return ROWS_SHOWN + 1 if form == "table" else None
