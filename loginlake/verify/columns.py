"""The columns of each table, compared with its declaration.

A declared column that a version of a table lacks is null in that version. It was declared after the version was
written, and the next job that writes the table adds it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from deltalake import Schema

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
        live, declared = lake.schema(TABLES[name]), Schema.from_json(TABLES[name].schema_json())
        faults += _wrong_columns(name, live, declared=declared)
        notes += [f"{name} version {version} lacks {column}, which is null" for column in _missing(live, declared)]
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
    live = lake.schema(table)
    added = [field.name for field in live.fields if field.metadata.get("comment") == ADDED_COLUMN]
    return [*_missing(live, Schema.from_json(table.schema_json())), *added]


def unfilled_note(column: str, rows: int, *, command: str) -> str:
    """Return the note on rows that lack a value because they were written before their column was added."""
    return (
        f"{column} is null in {rows:,} rows that were written before the column was added: run `{command}` to fill it"
    )


def _wrong_columns(name: str, live: Schema, *, declared: Schema) -> Iterator[str]:
    declared_types = {field.name: field.type for field in declared.fields}
    for field in live.fields:
        if field.name not in declared_types:
            yield f"{name} has the column {field.name}, which is not declared"
        elif field.type != declared_types[field.name]:
            live_type, declared_type = (
                json.loads(field.type.to_json()),
                json.loads(declared_types[field.name].to_json()),
            )
            yield f"{name} has the column {field.name} with type {live_type} instead of {declared_type}"


def _missing(live: Schema, declared: Schema) -> list[str]:
    names = {field.name for field in live.fields}
    return [field.name for field in declared.fields if field.name not in names]
