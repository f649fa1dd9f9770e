"""`/v1/snapshots`: the published snapshots and what they cover."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from lakehouse.progress import nested_offsets
from lakehouse.snapshots import Snapshot
from serving.deps import JSON_ONLY, BrokerLagDep, ContextDep, StoreDep, accepts
from serving.parameters import DEFAULT_LIMIT, LIMIT, natural
from serving.responses import json_response

router = APIRouter(prefix="/v1/snapshots", tags=["snapshots"], dependencies=JSON_ONLY)


@router.get("", summary="The published snapshots", openapi_extra=accepts(LIMIT))
def snapshots(context: ContextDep, store: StoreDep, *, broker_lag: BrokerLagDep) -> Response:
    """The snapshots, the newest first; `meta.freshness` is that of the newest."""
    limit = context.params(LIMIT).one(LIMIT) or DEFAULT_LIMIT
    newest = store.snapshots()[: -limit - 1 : -1]
    meta: dict[str, Any] = {"rows": len(newest)}
    if newest:
        meta["freshness"] = broker_lag.freshness(newest[0]).members()
    return json_response({"data": [_describe(snapshot) for snapshot in newest], "next": None, "meta": meta})


@router.get("/{snapshot_id}", summary="One snapshot")
def one_snapshot(snapshot_id: str, context: ContextDep, *, store: StoreDep, broker_lag: BrokerLagDep) -> Response:
    """Its instant, the versions of silver and of the gold tables, the Kafka offsets up to which it covers bronze."""
    context.params()
    snapshot = store.snapshot(snapshot_id=natural(snapshot_id))
    meta = {"freshness": broker_lag.freshness(snapshot).members()}
    return json_response({"data": _describe(snapshot), "next": None, "meta": meta})


def _describe(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "id": snapshot.id,
        "at": snapshot.at,
        "versions": snapshot.versions,
        "offsets": nested_offsets(snapshot.offsets),
        "last_event_at": snapshot.last_event_at,
        "last_append_at": snapshot.last_append_at,
        "enrichment": snapshot.enrichment,
    }
