"""Answers: rows with what they cover, in the format asked for, with the tag that tells whether they changed."""

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
from serving.formats import CSV, csv, json_rows
from serving.freshness import Freshness

# Text columns that hold JSON, which a JSON answer shows as what it is.
JSON_COLUMNS = ("measures", "evidence")


@cache
def release() -> str:
    """The release of the code: the same question may be answered otherwise by another."""
    return version("loginlake")


@dataclass(frozen=True)
class Answering:
    """How one request is to be answered.

    Args:
        headers: Of the request.
        media_type: To answer in.
        freshness: Gives how far a snapshot lies behind the broker.
    """

    headers: Headers
    media_type: str
    freshness: Callable[[Snapshot], Freshness]

    def at(
        self, snapshot: Snapshot, question: str, *, rows: Callable[[], pl.DataFrame], meta: Mapping[str, Any]
    ) -> Response:
        """The rows of a snapshot; 304 without reading them where the client has them already.

        Args:
            snapshot: Which snapshot is asked about.
            question: The same text for the same question.
            rows: Reads the answer.
            meta: What the answer says about itself, beside its freshness.
        """
        tag = self._tag(snapshot, question)
        headers = {"ETag": tag, "Loginlake-Snapshot": str(snapshot.id), "Vary": "Accept", "Cache-Control": "no-cache"}
        if _matches(self.headers.get("if-none-match"), tag):
            return Response(status_code=304, headers=headers)
        covered = {} if self.media_type == CSV else {"freshness": self.freshness(snapshot).members()}
        answer = self.plain(rows(), {**meta, **covered})
        answer.headers.update(headers)
        return answer

    def plain(self, rows: pl.DataFrame, meta: Mapping[str, Any]) -> Response:
        """Rows that no snapshot stands behind: those of one version of a table."""
        if self.media_type == CSV:
            return Response(csv(rows), media_type=f"{CSV}; charset=utf-8", headers={"Vary": "Accept"})
        body = {"data": _opened(json_rows(rows)), "next": None, "meta": {**meta, "rows": rows.height}}
        return json_response(body)

    def _tag(self, snapshot: Snapshot, question: str) -> str:
        parts = (snapshot.id, snapshot.at.isoformat(), question, self.media_type, release())
        digest = sha256(repr(parts).encode()).hexdigest()
        return f'"{digest[:32]}"'


def json_response(body: Mapping[str, Any]) -> Response:
    """A JSON answer; what is not finite becomes null."""
    return Response(msgspec.json.encode(body), media_type="application/json", headers={"Vary": "Accept"})


def described_column(column: Column) -> dict[str, Any]:
    """A column as the API shows it."""
    return {"name": column.name, "type": column.type, "meaning": column.meaning}


def _opened(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for row in rows:
        for name in JSON_COLUMNS:
            if row.get(name) is not None:
                row[name] = msgspec.json.decode(row[name])
    return rows


def _matches(if_none_match: str | None, tag: str) -> bool:
    """True where the header names the tag; it compares weakly, as RFC 9110 says."""
    if if_none_match is None:
        return False
    tags = [known.strip().removeprefix("W/") for known in if_none_match.split(",")]
    return "*" in tags or tag in tags
