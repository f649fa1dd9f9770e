"""`/v1/snapshots`: what was published when, and what it covers."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from lakehouse.offsets import nested_offsets
from lakehouse.snapshots import Snapshot
from serving.deps import Asking, Reading, Watching, takes
from serving.parameters import DEFAULT_LIMIT, LIMIT
from serving.responses import json_response
from serving.values import natural

router = APIRouter(prefix="/v1/snapshots", tags=["snapshots"])


@router.get("", summary="The published snapshots", openapi_extra=takes(LIMIT))
def snapshots(asking: Asking, store: Reading, *, watch: Watching) -> Response:
    """The newest first; the freshness is that of the newest."""
    limit = asking.of(LIMIT).one(LIMIT) or DEFAULT_LIMIT
    newest = store.snapshots()[: -limit - 1 : -1]
    meta: dict[str, Any] = {"rows": len(newest)}
    if newest:
        meta["freshness"] = watch.freshness(newest[0]).members()
    return json_response({"data": [_described(snapshot) for snapshot in newest], "next": None, "meta": meta})


@router.get("/{snapshot_id}", summary="One snapshot")
def one_snapshot(snapshot_id: str, asking: Asking, *, store: Reading, watch: Watching) -> Response:
    """Its instant, the versions of all tables, the Kafka offsets that it covers."""
    asking.of()
    snapshot = store.snapshot(snapshot_id=natural(snapshot_id))
    meta = {"freshness": watch.freshness(snapshot).members()}
    return json_response({"data": _described(snapshot), "next": None, "meta": meta})


def _described(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "id": snapshot.id,
        "at": snapshot.at,
        "versions": snapshot.versions,
        "offsets": nested_offsets(snapshot.offsets),
        "last_event_at": snapshot.last_event_at,
        "last_append_at": snapshot.last_append_at,
        "enrichment": snapshot.enrichment,
    }
