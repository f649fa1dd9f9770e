"""`/v1/tables`: the tables of the lake, their schema, history and rows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from lakehouse.errors import TableMissing
from lakehouse.tables import TABLES
from lakehouse.tables.model import Table
from serving.deps import READ, Answered, Asking, Reading, takes
from serving.parameters import DEFAULT_LIMIT, LIMIT, VERSION
from serving.responses import described_column, json_response
from serving.selection import Selection
from serving.store import snapshot_asked
from serving.table_rows import TableQuery, rows_at_snapshot, rows_at_version, version_asked
from serving.values import shortened

router = APIRouter(prefix="/v1/tables", tags=["tables"])

ROWS = (VERSION, LIMIT, *READ)


@router.get("", summary="The tables of the lake")
def tables(asking: Asking) -> Response:
    """Each table as it is declared, with its grain and key."""
    asking.of()
    declared = [_described(table) for table in TABLES.values()]
    return json_response({"data": declared, "next": None, "meta": {"rows": len(declared)}})


@router.get("/{table}", summary="One table and its columns")
def one_table(table: str, asking: Asking) -> Response:
    """The table as it is declared, with the type and meaning of each column."""
    asking.of()
    declared = _named(table)
    columns = [described_column(column) for column in declared.columns]
    return json_response({"data": {**_described(declared), "columns": columns}, "next": None, "meta": {}})


@router.get("/{table}/history", summary="The versions of a table", openapi_extra=takes(LIMIT))
def history_of_table(table: str, asking: Asking, *, store: Reading) -> Response:
    """Its commits, the newest first, published or not."""
    declared = _named(table)
    limit = asking.of(LIMIT).one(LIMIT) or DEFAULT_LIMIT
    commits = [asdict(commit) for commit in store.history(declared, limit=limit)]
    meta = {"table": declared.full_name, "rows": len(commits)}
    return json_response({"data": commits, "next": None, "meta": meta})


@router.get("/{table}/rows", summary="Rows of a table", openapi_extra=takes(*ROWS))
def rows_of_table(table: str, asking: Asking, *, store: Reading, answers: Answered) -> Response:
    """Rows in the order of the table's key, at a snapshot or, for inspection, at a `version` of this table alone."""
    declared = _named(table)
    asked = asking.of(*ROWS)
    answering = answers.to(asked)
    query = TableQuery(declared, Selection(limit=asked.one(LIMIT) or DEFAULT_LIMIT))
    version = version_asked(asked)
    if version is not None:
        meta = {"table": declared.full_name, "version": version}
        return answering.plain(rows_at_version(query, store, version=version), meta)
    snapshot = snapshot_asked(asked, store)
    return answering.at(
        snapshot,
        query.canonical,
        rows=lambda: rows_at_snapshot(query, store, snapshot=snapshot),
        meta={"table": declared.full_name, "version": snapshot.versions.get(declared.full_name)},
    )


def _named(name: str) -> Table:
    """The table of that full name: a key of the declarations, never a path."""
    if name not in TABLES:
        raise TableMissing(f"There is no table {shortened(name)}", hint=f"Name one of {', '.join(TABLES)}")
    return TABLES[name]


def _described(table: Table) -> dict[str, Any]:
    return {
        "name": table.full_name,
        "grain": table.grain,
        "key": table.key,
        "partition_by": table.partition_by,
    }
