"""`loginlake diff`: show what changed between two snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.options import SettingsCommand
from loginlake.commands.output import Json, Limit, Vertical, requested_output
from loginlake.commands.reading import open_store

if TYPE_CHECKING:
    import polars as pl

    from lakehouse.snapshots import Snapshot
    from lakehouse.tables.model import Table
    from serving.diff import RowChange
    from serving.store import Store

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake diff 1 2 ip_activity")
def diff(  # noqa: PLR0913 - each parameter is an option of the command
    *,
    before: Annotated[int, typer.Argument(metavar="OLD", min=1, help="Id of the earlier snapshot.")],
    after: Annotated[int, typer.Argument(metavar="NEW", min=1, help="Id of the later snapshot.")],
    name: Annotated[
        str | None,
        typer.Argument(metavar="TABLE|METRIC", help="Show the rows of this table or metric. Default: counts of all."),
    ] = None,
    limit: Limit = None,
    json: Json = False,
    vertical: Vertical = False,
) -> None:
    """Show what changed between two snapshots: rows added, removed and changed, by the key of each table.

    Without a table: the number of rows for each table. With one: its rows, with old and new values.
    """
    output = requested_output("table", json=json, vertical=vertical)
    store = open_store()
    import polars as pl

    from lakehouse.tables import table_named
    from serving.diff import row_changes

    old, new = store.snapshot(snapshot_id=before), store.snapshot(snapshot_id=after)
    if name is None:
        output.write(pl.DataFrame(_counts(store, before=old, after=new)))
        return
    table = table_named(name)
    changes = row_changes(table, store, before=old, after=new, limit=output.rows_to_read(limit))
    if json:
        typer.echo(_json(changes))
    else:
        output.write_first(_rows(changes, table), limit=limit)


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


def _rows(changes: Sequence[RowChange], table: Table) -> pl.DataFrame:
    """Return one row per change: the change, the key, and the values that differ as text."""
    import polars as pl

    from serving.delta_tables import declared_schema

    types = declared_schema(table)
    rows = [{"change": each.change, **each.key, "values": _values(each)} for each in changes]
    return pl.DataFrame(rows, {"change": pl.String} | {name: types[name] for name in table.key} | {"values": pl.String})


def _values(change: RowChange) -> str:
    """Return the differing values as text: `attempts 3 → 5` for a changed row, `attempts 3` for any other."""
    if change.old is not None and change.new is not None:
        return ", ".join(f"{name} {_text(change.old[name])} → {_text(change.new[name])}" for name in change.new)
    values = change.new if change.old is None else change.old
    return ", ".join(f"{name} {_text(value)}" for name, value in (values or {}).items() if value is not None)


def _text(value: object) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
