"""The columns of each table, compared with its declaration.

A declared column that a version of a table lacks is null in that version. It was declared after the version was
written, and the next job that writes the table adds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deltalake import Schema

from lakehouse.errors import SchemaDiffers
from lakehouse.tables import TABLES
from lakehouse.tables.model import ADDED_COLUMN, Table
from loginlake.verify.pinned import PinnedLake
from loginlake.verify.report import Check, check

WRONG_COLUMNS = "Read the table with the release that wrote it, or restore its Delta log from a copy of the lake"


def column_checks(lake: PinnedLake) -> Iterator[Check]:
    """Check that every table has only declared columns, with the declared types."""
    faults: list[str] = []
    notes: list[str] = []
    for name, version in sorted(lake.versions.items()):
        table = TABLES[name]
        faults += _differences(lake, table)
        lacking = _missing(lake.schema(table), table)
        notes += [f"{name} version {version} lacks {column}, which is null" for column in lacking]
    yield check(
        "every table has only declared columns, with the declared types",
        faults,
        checked=len(lake.versions),
        hint=WRONG_COLUMNS,
        notes=notes,
    )


def unfilled_columns(lake: PinnedLake, table: Table) -> Sequence[str]:
    """Return the declared columns that may be null in old rows, because they were declared after these were written."""
    if table.full_name not in lake.versions:
        return ()
    schema = lake.schema(table)
    added = [field.name for field in schema.fields if field.metadata.get("comment") == ADDED_COLUMN]
    return [*_missing(schema, table), *added]


def unfilled_note(column: str, rows: int, *, command: str) -> str:
    """Return the note on rows that lack a value because they were written before their column was added."""
    return (
        f"{column} is null in {rows:,} rows that were written before the column was added: run `{command}` to fill it"
    )


def _differences(lake: PinnedLake, table: Table) -> Iterator[str]:
    try:
        lake.store.rows_at_version(table, lake.versions[table.full_name])
    except SchemaDiffers as error:
        yield error.what


def _missing(schema: Schema, table: Table) -> list[str]:
    names = {field.name for field in schema.fields}
    return [name for name in table.column_names if name not in names]
