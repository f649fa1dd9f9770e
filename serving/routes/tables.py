"""`/v1/tables`: the tables of the lake, their schema, history and rows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from lakehouse.errors import UnknownTable, name_hint
from lakehouse.tables import TABLES
from lakehouse.tables.gold import LABELS
from lakehouse.tables.model import Table
from serving.deps import JSON_ONLY, READ, ContextDep, StoreDep, accepts
from serving.parameters import DEFAULT_LIMIT, LIMIT, VERSION, quoted
from serving.queries import TableQuery, requested_snapshot, requested_version, rows_at_snapshot, rows_at_version
from serving.responses import describe_column, json_response
from serving.selection import Selection

router = APIRouter(prefix="/v1/tables", tags=["tables"])

ACCEPTED = (VERSION, LIMIT, *READ)


@router.get("", summary="The tables of the lake", dependencies=JSON_ONLY)
def tables(context: ContextDep) -> Response:
    """Each table as it is declared, with its grain and key."""
    context.params()
    declared = [_describe(table) for table in TABLES.values()]
    return json_response({"data": declared, "next": None, "meta": {"rows": len(declared)}})


@router.get("/{table}", summary="One table and its columns", dependencies=JSON_ONLY)
def one_table(table: str, context: ContextDep) -> Response:
    """The table as it is declared, with the type and meaning of each column."""
    context.params()
    declared = _named(table)
    columns = [describe_column(column) for column in declared.columns]
    return json_response({"data": {**_describe(declared), "columns": columns}, "next": None, "meta": {}})


@router.get("/{table}/history", summary="The versions of a table", openapi_extra=accepts(LIMIT), dependencies=JSON_ONLY)
def history_of_table(table: str, context: ContextDep, *, store: StoreDep) -> Response:
    """Its commits, the newest first, published or not."""
    declared = _named(table)
    limit = context.params(LIMIT).one(LIMIT) or DEFAULT_LIMIT
    commits = [asdict(commit) for commit in store.history(declared, limit=limit)]
    meta = {"table": declared.full_name, "rows": len(commits)}
    return json_response({"data": commits, "next": None, "meta": meta})


@router.get("/{table}/rows", summary="Rows of a table", openapi_extra=accepts(*ACCEPTED))
def rows_of_table(table: str, context: ContextDep, *, store: StoreDep) -> Response:
    """Rows in the order of the table's key, at a snapshot or, for inspection, at a `version` of this table alone."""
    declared = _named(table)
    params = context.params(*ACCEPTED)
    responder = context.responder(params)
    query = TableQuery(declared, Selection(limit=params.one(LIMIT) or DEFAULT_LIMIT))
    version = requested_version(params)
    if version is not None:
        meta = {"table": declared.full_name, "version": version}
        return responder.rows(rows_at_version(query, store, version=version), meta)
    snapshot = requested_snapshot(params, store)
    return responder.rows_at_snapshot(
        snapshot,
        # Labels are not part of a snapshot: they are read as they are now.
        repr((query.canonical, store.labels_version())) if declared == LABELS else query.canonical,
        read=lambda: rows_at_snapshot(query, store, snapshot=snapshot),
        meta={"table": declared.full_name, "version": snapshot.versions.get(declared.full_name)},
    )


def _named(name: str) -> Table:
    """Return the table of that full name: a key of the declarations, never a path."""
    if name not in TABLES:
        raise UnknownTable(f"There is no table {quoted(name)}", hint=name_hint(name, TABLES))
    return TABLES[name]


def _describe(table: Table) -> dict[str, Any]:
    return {
        "name": table.full_name,
        "grain": table.grain,
        "key": table.key,
        "partition_by": table.partition_by,
    }
