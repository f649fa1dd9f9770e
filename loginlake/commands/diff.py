"""`loginlake diff`: show what changed between two snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.errors import BadQuery
from lakehouse.options import SettingsCommand
from loginlake.commands.output import ROWS_SHOWN, Json, note_of_more, requested_output, value_text
from loginlake.commands.reading import open_store
from loginlake.grid import wrapped
from loginlake.terminal import terminal_width

if TYPE_CHECKING:
    from lakehouse.snapshots import Snapshot
    from lakehouse.tables.model import Table
    from serving.diff import RowChange
    from serving.store import Store

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake diff 1 2 ip_activity")
def diff(
    *,
    before: Annotated[int, typer.Argument(metavar="OLD", min=1, help="Id of the earlier snapshot.")],
    after: Annotated[int, typer.Argument(metavar="NEW", min=1, help="Id of the later snapshot.")],
    name: Annotated[
        str | None,
        typer.Argument(metavar="TABLE", help="Show the rows of this table. Default: counts of all tables."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(metavar="ROWS", min=1, help=f"Maximum number of rows. Default: {ROWS_SHOWN}, or all as JSON."),
    ] = None,
    json: Json = False,
) -> None:
    """Show what changed between two snapshots: rows added, removed and changed, by the key of each table.

    Without a table: the number of rows for each table. With one: its rows, with old and new values.
    """
    output = requested_output(None, json=json)
    store = open_store()
    import polars as pl

    from serving.diff import row_changes

    old, new = store.snapshot(snapshot_id=before), store.snapshot(snapshot_id=after)
    if name is None:
        output.write(pl.DataFrame(_counts(store, before=old, after=new)))
        return
    table = _stored_table(name)
    changes = row_changes(table, store, before=old, after=new, limit=output.rows_to_read(limit))
    if json:
        typer.echo(_json(changes))
        return
    shown = changes if limit else changes[:ROWS_SHOWN]
    typer.echo("\n".join(change_lines(shown, width=terminal_width())) if shown else "No rows differ")
    if len(changes) > len(shown):
        typer.echo(note_of_more(), err=True)


def _stored_table(name: str) -> Table:
    """Return the table of a name.

    Raises:
        BadQuery: It is a metric or a view that is computed when it is read.
        UnknownTable: There is nothing of that name.
    """
    from lakehouse.tables import METRICS_BY_NAME, TABLES, VIEWS, table_named

    stored = [table.name for table in TABLES.values()]
    computed = {*METRICS_BY_NAME, *(view.name for view in VIEWS.values())}.difference(stored)
    if name.removeprefix("gold.") in computed:
        hint = f"Use a table that it is computed from: one of {', '.join(stored)}"
        raise BadQuery(f"{name} is computed when it is read, so that there are no rows of it to compare", hint=hint)
    return table_named(name)


def _counts(store: Store, *, before: Snapshot, after: Snapshot) -> list[dict[str, Any]]:
    from lakehouse.tables import TABLES
    from lakehouse.tables.gold import LABELS, SNAPSHOTS
    from serving.diff import count_changes

    tables = [table for table in TABLES.values() if table not in (SNAPSHOTS, LABELS)]
    return [{"table": table.full_name} | count_changes(table, store, before=before, after=after) for table in tables]


def _json(changes: Sequence[RowChange]) -> bytes:
    """Return the changes as indented JSON; columns of JSON text are values, as in the API."""
    import msgspec

    from serving.formats import with_json_values

    rows = [asdict(change) for change in changes]
    with_json_values([values for row in rows for values in (row["key"], row["old"], row["new"]) if values])
    return msgspec.json.format(msgspec.json.encode(rows), indent=2)


def change_lines(changes: Sequence[RowChange], *, width: int | None) -> list[str]:
    """Return a line with the key of each change, and below it the values that differ; nothing is cut.

    Args:
        changes: The changes.
        width: Where lines are broken, between values; None breaks no line.
    """
    lines = []
    for change in changes:
        key = ", ".join(f"{name} {value_text(value)}" for name, value in change.key.items())
        lines.append(f"{change.change} {key}")
        values = ", ".join(_values(change))
        lines += [f"  {line}" for line in wrapped(values, None if width is None else width - 2)]
    return lines


def _values(change: RowChange) -> list[str]:
    """Return the differing values: `attempts 3 → 5` of a changed row, `attempts 3` of any other."""
    if change.old is not None and change.new is not None:
        return [f"{name} {value_text(change.old[name])} → {value_text(change.new[name])}" for name in change.new]
    values = change.new if change.old is None else change.old
    return [f"{name} {value_text(value)}" for name, value in (values or {}).items() if value is not None]
