"""`loginlake query`: print rows of a metric or of a table, without Spark."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.clock import utc_now
from lakehouse.errors import BadQuery, UnknownTable, name_hint
from lakehouse.options import SettingsCommand
from lakehouse.tables.model import WINDOWS
from loginlake.commands.conditions import parse_conditions
from loginlake.commands.output import Columns, Format, Json, Limit, Vertical, requested_output
from loginlake.commands.reading import (
    AsOf,
    Since,
    SnapshotId,
    Until,
    open_store,
    requested_period,
    requested_snapshot,
)

if TYPE_CHECKING:
    import polars as pl

    from lakehouse.tables.model import Column, Metric, Table
    from serving.selection import Order, Selection
    from serving.store import Store

DETECTION_HINT = "Use it with silver.events, or with bronze.raw_logs for the records themselves"
EXAMPLE = "loginlake query ip_activity --every day --where 'failures>10' --order-by -failures --limit 5"

app = typer.Typer(add_completion=False)


Name = Annotated[
    str, typer.Argument(metavar="TABLE|METRIC", help="Name of a metric, or of a table such as silver.events.")
]
Every = Annotated[
    str | None, typer.Option(metavar="|".join(WINDOWS), help="Length of a metric's windows; a week starts on Monday.")
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CONDITION",
        help="Keep rows with COLUMN=VALUE, or with !=, <, <=, > or >=. Repeat it to combine conditions; several "
        "values of one column with = are alternatives.",
    ),
]
DetectionId = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Keep the evidence of a detection: its events, or its records in bronze."),
]
OrderBy = Annotated[
    str | None, typer.Option(metavar="-A,B", help="Columns to sort by; - sorts a column in descending order.")
]
Version = Annotated[
    int | None, typer.Option(metavar="N", min=0, help="Read this version of the one table, published or not.")
]


@dataclass(frozen=True)
class Choice:
    """The options that choose rows, as they are given."""

    every: str | None
    since: str | None
    until: str | None
    where: list[str]
    order_by: str | None
    limit: int | None
    as_of: str | None
    snapshot: int | None
    version: int | None
    detection: str | None


@app.command(cls=SettingsCommand, epilog=f"For example: {EXAMPLE}")
def query(  # noqa: PLR0913 - each parameter is an option of the command
    name: Name,
    *,
    every: Every = None,
    since: Since = None,
    until: Until = None,
    where: Where = None,
    detection: DetectionId = None,
    order_by: OrderBy = None,
    limit: Limit = None,
    as_of: AsOf = None,
    snapshot: SnapshotId = None,
    version: Version = None,
    form: Format = None,
    json: Json = False,
    columns: Columns = None,
    vertical: Vertical = False,
) -> None:
    """Print rows of a metric or of a table, at the last snapshot or an earlier one.

    --from and --to select windows of a metric. For a table they select by the instant that its partitions are derived
    from: fired_at of detections, event_at of silver.events (rows without one are never selected), ingested_at of
    bronze.raw_logs.

    Attempts per address and day, as a file: loginlake query ip_activity --every day --format csv
    """
    output = requested_output(form, json=json, columns=columns, vertical=vertical)
    store = open_store()
    from lakehouse.tables import METRICS_BY_NAME
    from lakehouse.tables.gold import SNAPSHOTS

    rows_to_read = output.rows_to_read(limit)
    choice = Choice(every, since, until, where or [], order_by, rows_to_read, as_of, snapshot, version, detection)
    if name in METRICS_BY_NAME:
        metric = METRICS_BY_NAME[name]
        output.write_first(_metric_rows(metric, choice, store=store), limit=limit, shown=metric.shown)
    else:
        table = _table(name)
        # --as-of takes the instant of a snapshot; without its fraction, it would find the one before.
        exact = ("at",) if table == SNAPSHOTS else ()
        output.write_first(_table_rows(table, choice, store=store), limit=limit, shown=table.shown, exact=exact)


def _metric_rows(metric: Metric, choice: Choice, *, store: Store) -> pl.DataFrame:
    from serving.queries import MetricQuery, metric_rows_at_snapshot, newest_windows_first

    if choice.version is not None:
        raise BadQuery(f"{metric.name} is a metric and has no versions", hint=f"Name its table: gold.{metric.name}")
    if choice.detection is not None:
        raise BadQuery(f"--detection: {metric.name} is a metric and has no events", hint=DETECTION_HINT)
    if choice.every is not None and choice.every not in metric.every:
        raise BadQuery(
            f"--every: {metric.name} has no windows of {choice.every!r}", hint=name_hint(choice.every, metric.every)
        )
    now = utc_now()
    query = MetricQuery(
        metric=metric,
        every=choice.every or metric.default_every,
        period=requested_period(choice.since, choice.until, now=now),
        selection=_selection(choice, metric.columns, now=now, default=newest_windows_first(metric)),
    )
    snapshot = requested_snapshot(store, as_of=choice.as_of, snapshot=choice.snapshot)
    return metric_rows_at_snapshot(query, store, snapshot=snapshot)


def _table_rows(table: Table, choice: Choice, *, store: Store) -> pl.DataFrame:
    from lakehouse.tables import VIEWS
    from lakehouse.tables.bronze import POSITION
    from lakehouse.tables.silver import EVENTS
    from serving.queries import (
        OLDEST_EVENTS_FIRST,
        TableQuery,
        default_order,
        evidence_of,
        rows_at_snapshot,
        rows_at_version,
    )

    if choice.version is not None and table.full_name in VIEWS:
        raise BadQuery(f"{table.name} is a view and has no versions", hint="Use --snapshot or --as-of")
    if choice.every is not None:
        raise BadQuery(f"--every applies to metrics, and {table.full_name} is a table", hint="Leave it out")
    if table.instant is None and (choice.since or choice.until):
        raise BadQuery(f"--from and --to: {table.full_name} has no time to select by", hint="Use --where")
    if choice.version is not None and (choice.as_of is not None or choice.snapshot is not None):
        raise BadQuery("--version is given together with a snapshot", hint="Give one of --version, --snapshot, --as-of")
    now = utc_now()
    is_evidence = choice.detection is not None and table == EVENTS
    order = OLDEST_EVENTS_FIRST if is_evidence else default_order(table)
    selection = _selection(choice, table.columns, now=now, default=order)
    query = TableQuery(table, selection, requested_period(choice.since, choice.until, now=now))
    if choice.detection is not None and table.key != POSITION:
        raise BadQuery(f"--detection: {table.full_name} has no events", hint=DETECTION_HINT)
    if choice.version is not None and choice.detection is None:
        return rows_at_version(query, store, version=choice.version)
    snapshot = requested_snapshot(store, as_of=choice.as_of, snapshot=choice.snapshot)
    if choice.detection is not None:
        evidence = evidence_of(choice.detection, store, snapshot=snapshot)
        query = replace(query, selection=replace(selection, filters=(*selection.filters, evidence)))
    if choice.version is None:
        return rows_at_snapshot(query, store, snapshot=snapshot)
    return rows_at_version(query, store, version=choice.version)


def _selection(choice: Choice, columns: tuple[Column, ...], *, now: datetime, default: tuple[Order, ...]) -> Selection:
    from serving.selection import Selection, order_parameter

    filters = parse_conditions(choice.where, columns, now=now)
    try:
        order_by = default if choice.order_by is None else order_parameter(columns).parse(choice.order_by)
    except BadQuery as error:
        raise BadQuery(f"--order-by: {error.what}", hint=error.hint) from error
    return Selection(filters, order_by, choice.limit)


def _table(name: str) -> Table:
    """Return the table or view of a name that is not the name of a metric.

    Raises:
        UnknownTable: No table has that name; the hint lists the metrics too.
    """
    from lakehouse.tables import METRICS_BY_NAME, READABLE, table_named

    try:
        return table_named(name, among=READABLE)
    except UnknownTable as error:
        tables = READABLE if "." in name else [table.name for table in READABLE.values()]
        known = list(dict.fromkeys((*METRICS_BY_NAME, *tables)))
        raise UnknownTable(f"There is no metric or table {name!r}", hint=name_hint(name, known), name=name) from error
