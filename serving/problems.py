"""Errors as RFC 9457 problems: one shape, one list of kinds, one page that explains them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from lakehouse.errors import (
    BadQuery,
    InFuture,
    LakehouseError,
    LakeUnreadable,
    SchemaDiffers,
    SnapshotExpired,
    SnapshotMissing,
    TableMissing,
)
from lakehouse.refusals import refusal
from serving.parameters import UnknownParameter

MEDIA_TYPE = "application/problem+json"
PAGE = "/docs/problems"
LONGEST_DETAIL = 1_000


class NotAcceptable(LakehouseError):
    """The client accepts none of our formats."""


class NotReady(LakehouseError):
    """The API has no snapshot to serve."""


@dataclass(frozen=True)
class Kind:
    """A kind of problem; its `slug` is an anchor of the problems page and a row of docs/api.md."""

    slug: str
    status: int
    title: str
    meaning: str


UNKNOWN_PARAMETER = Kind(
    "unknown-parameter",
    400,
    "Unknown parameter",
    "The URL has a parameter that the path does not accept, or repeats one that may be given only once.",
)
BAD_REQUEST = Kind("bad-request", 400, "Bad request", "The request is not valid HTTP.")
NOT_FOUND = Kind("not-found", 404, "Not found", "The path, metric, table, version or detection does not exist.")
SNAPSHOT_MISSING = Kind(
    "snapshot-missing",
    404,
    "No such snapshot",
    "No snapshot has that id, or none was published by that instant; `oldest` is the first that is retained.",
)
SNAPSHOT_EXPIRED = Kind(
    "snapshot-expired",
    410,
    "Snapshot expired",
    "The snapshot is no longer retained, or no retained snapshot names the version and its files are deleted; `oldest` "
    "is the first retained snapshot.",
)
METHOD_NOT_ALLOWED = Kind(
    "method-not-allowed", 405, "Method not allowed", "The path exists, but does not accept that method."
)
NOT_ACCEPTABLE = Kind(
    "not-acceptable", 406, "Not acceptable", "The Accept header accepts neither JSON nor, where the path has rows, CSV."
)
BAD_VALUE = Kind(
    "bad-value",
    422,
    "Bad value",
    "A parameter, or a field of the body, is malformed or not allowed; the problem names the allowed values.",
)
IN_FUTURE = Kind("in-future", 422, "In the future", "as_of is later than now.")
INTERNAL = Kind("internal-error", 500, "Internal error", "An error of the server; its log has the request id.")
LAKE_UNREADABLE = Kind(
    "lake-unreadable", 503, "Lake unreadable", "A file of the lake is missing, truncated or damaged."
)
SCHEMA_DIFFERS = Kind(
    "schema-differs",
    503,
    "Schema differs",
    "A table has a column that this release does not declare, or one of another type; the problem names it.",
)
NOT_READY = Kind("not-ready", 503, "Not ready", "Nothing is published yet, or the lake can't be read.")

KINDS = (
    UNKNOWN_PARAMETER,
    BAD_REQUEST,
    NOT_FOUND,
    SNAPSHOT_MISSING,
    SNAPSHOT_EXPIRED,
    METHOD_NOT_ALLOWED,
    NOT_ACCEPTABLE,
    BAD_VALUE,
    IN_FUTURE,
    INTERNAL,
    LAKE_UNREADABLE,
    SCHEMA_DIFFERS,
    NOT_READY,
)

# The first matching class counts, so a subclass precedes its parent.
KIND_OF_ERROR: tuple[tuple[type[LakehouseError], Kind], ...] = (
    (UnknownParameter, UNKNOWN_PARAMETER),
    (BadQuery, BAD_VALUE),
    (SnapshotMissing, SNAPSHOT_MISSING),
    (SnapshotExpired, SNAPSHOT_EXPIRED),
    (TableMissing, NOT_FOUND),
    (InFuture, IN_FUTURE),
    (NotAcceptable, NOT_ACCEPTABLE),
    (NotReady, NOT_READY),
    (LakeUnreadable, LAKE_UNREADABLE),
    (SchemaDiffers, SCHEMA_DIFFERS),
)
KIND_OF_STATUS = {400: BAD_REQUEST, 404: NOT_FOUND, 405: METHOD_NOT_ALLOWED}


def problem(kind: Kind, *, detail: str, hint: str | None = None, **more: Any) -> Response:
    """Return a problem as an answer.

    Args:
        kind: One of `KINDS`.
        detail: What is wrong this time.
        hint: What the client can do about it.
        more: Further members, such as the oldest snapshot.
    """
    body = {
        "type": f"{PAGE}#{kind.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail[:LONGEST_DETAIL],
        **({"hint": hint[:LONGEST_DETAIL]} if hint else {}),
        **more,
    }
    return Response(msgspec.json.encode(body), status_code=kind.status, media_type=MEDIA_TYPE)


def on_lakehouse_error(request: Request, error: Exception) -> Response:
    """Return the problem for one of our own errors, and report damage of the lake to the store."""
    if not isinstance(error, LakehouseError):
        raise TypeError("this handler is for LakehouseError only") from error
    if isinstance(error, LakeUnreadable):
        request.app.state.store.note(error)
    kind = next((kind for type_, kind in KIND_OF_ERROR if isinstance(error, type_)), INTERNAL)
    oldest = {"oldest": error.parts["oldest"]} if "oldest" in error.parts else {}
    return problem(kind, detail=error.what, hint=error.hint, **oldest)


def on_invalid_body(_: Request, error: Exception) -> Response:
    """Return the problem for a body that does not have the declared fields."""
    if not isinstance(error, RequestValidationError):
        raise TypeError("this handler is for RequestValidationError only") from error
    faults = (refusal(fault, f"{_field(fault['loc'])}: ") for fault in error.errors())
    return problem(BAD_VALUE, detail="; ".join(faults), hint="See /docs for the fields of the body")


def _field(loc: Sequence[str | int]) -> str:
    """Return the name of the field that pydantic refuses, at a place such as `("body", "label")`."""
    return ".".join(part for part in loc[1:] if isinstance(part, str)) or "The body"


def on_http_error(_: Request, error: Exception) -> Response:
    """Return the problem for what the router refuses: unknown paths and methods."""
    if not isinstance(error, HTTPException):
        raise TypeError("this handler is for HTTPException only") from error
    kind = KIND_OF_STATUS.get(error.status_code, INTERNAL)
    answer = problem(kind, detail=str(error.detail), hint="See /docs for all paths")
    answer.headers.update(error.headers or {})
    return answer


def problems_page() -> str:
    """Return the page that the `type` of every problem links to."""
    sections = "\n".join(
        f'<h2 id="{kind.slug}">{escape(kind.title)} ({kind.status})</h2>\n<p>{escape(kind.meaning)}</p>'
        for kind in KINDS
    )
    return f'<!doctype html>\n<html lang="en"><title>Problems</title>\n<h1>Problems</h1>\n{sections}\n</html>\n'
