"""Answers: rows and what they cover, in the requested format, with a tag that changes when the answer does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import msgspec
import polars as pl
from starlette.datastructures import Headers
from starlette.responses import Response

from lakehouse.snapshots import Snapshot
from lakehouse.tables.model import Column
from serving.formats import CSV, csv, json_rows, with_json_values
from serving.freshness import Freshness
from serving.parameters import values_of


@cache
def release() -> str:
    """Return the release of the code: another release may answer the same query differently."""
    return version("loginlake")


@dataclass(frozen=True)
class Responder:
    """Writes the answer to one request.

    Attributes:
        headers: The headers of the request.
        media_type: The media type of the answer.
        freshness: Returns how far a snapshot lies behind the broker.
    """

    headers: Headers
    media_type: str
    freshness: Callable[[Snapshot], Freshness]

    def rows_at_snapshot(
        self, snapshot: Snapshot, query: str, *, read: Callable[[], pl.DataFrame], meta: Mapping[str, Any]
    ) -> Response:
        """Return rows of a snapshot, or answer 304 without reading them if the client already has them.

        Args:
            snapshot: The snapshot that is read.
            query: The same text for the same query.
            read: Reads the rows.
            meta: The answer's `meta`, without its freshness.
        """
        tag = self._tag(snapshot, query)
        headers = {"ETag": tag, "Loginlake-Snapshot": str(snapshot.id), "Vary": "Accept", "Cache-Control": "no-cache"}
        if _matches(self.headers.get("if-none-match"), tag):
            return Response(status_code=304, headers=headers)
        covered = {} if self.media_type == CSV else {"freshness": self.freshness(snapshot).members()}
        answer = self.rows(read(), {**meta, **covered})
        answer.headers.update(headers)
        return answer

    def rows(self, rows: pl.DataFrame, meta: Mapping[str, Any]) -> Response:
        """Return rows without a snapshot: those of one version of a table."""
        if self.media_type == CSV:
            return Response(csv(rows), media_type=f"{CSV}; charset=utf-8", headers={"Vary": "Accept"})
        body = {"data": with_json_values(json_rows(rows)), "next": None, "meta": {**meta, "rows": rows.height}}
        return json_response(body)

    def _tag(self, snapshot: Snapshot, query: str) -> str:
        parts = (snapshot.id, snapshot.at.isoformat(), query, self.media_type, release())
        digest = sha256(repr(parts).encode()).hexdigest()
        return f'"{digest[:32]}"'


def json_response(body: Mapping[str, Any]) -> Response:
    """Return a JSON answer; numbers that are not finite become null."""
    return Response(msgspec.json.encode(body), media_type="application/json", headers={"Vary": "Accept"})


def describe_column(column: Column) -> dict[str, Any]:
    """Return a column as the API shows it; `values` only if they are a closed list."""
    values = values_of(column)
    return {
        "name": column.name,
        "type": column.type,
        "meaning": column.meaning,
        **({"values": list(values)} if values else {}),
    }


def _matches(if_none_match: str | None, tag: str) -> bool:
    """Return whether the header names the tag; it compares weakly, as RFC 9110 requires."""
    if if_none_match is None:
        return False
    tags = [known.strip().removeprefix("W/") for known in if_none_match.split(",")]
    return "*" in tags or tag in tags
