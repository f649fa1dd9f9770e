"""`/v1/freshness`: what the newest snapshot covers, and how far the broker is ahead."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from lakehouse.offsets import Offsets
from serving.deps import Asking, Reading, Watching, takes
from serving.parameters import AS_OF, SNAPSHOT
from serving.responses import json_response
from serving.store import snapshot_asked

router = APIRouter(prefix="/v1/freshness", tags=["freshness"])


@router.get("", summary="Offsets covered and end offsets", openapi_extra=takes(AS_OF, SNAPSHOT))
def freshness(asking: Asking, store: Reading, *, watch: Watching) -> Response:
    """One row per partition: the next offset to cover and the broker's end; null where the broker can't be asked."""
    snapshot = snapshot_asked(asking.of(AS_OF, SNAPSHOT), store)
    partitions = _partitions(snapshot.offsets, watch.ends())
    meta = {"rows": len(partitions), "freshness": watch.freshness(snapshot).members()}
    answer = json_response({"data": partitions, "next": None, "meta": meta})
    answer.headers["Loginlake-Snapshot"] = str(snapshot.id)
    return answer


def _partitions(covered: Offsets, ends: Offsets | None) -> list[dict[str, Any]]:
    known = ends or {}
    return [
        {"topic": at[0], "partition": at[1], "covered": covered.get(at, 0), "end": known.get(at)}
        for at in sorted({*covered, *known})
    ]
