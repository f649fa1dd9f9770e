"""`/v1/freshness`: the offsets that the newest snapshot covers, and how far the broker is ahead."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from lakehouse.progress import Offsets
from serving.deps import JSON_ONLY, BrokerLagDep, ContextDep, StoreDep, accepts
from serving.parameters import AS_OF, SNAPSHOT
from serving.queries import requested_snapshot
from serving.responses import json_response

router = APIRouter(prefix="/v1/freshness", tags=["freshness"], dependencies=JSON_ONLY)


@router.get("", summary="Offsets covered and end offsets", openapi_extra=accepts(AS_OF, SNAPSHOT))
def freshness(context: ContextDep, store: StoreDep, *, broker_lag: BrokerLagDep) -> Response:
    """One row per partition: the next offset to cover and the broker's end offset, null without a broker."""
    snapshot = requested_snapshot(context.params(AS_OF, SNAPSHOT), store)
    partitions = _partitions(snapshot.offsets, broker_lag.ends())
    meta = {"rows": len(partitions), "freshness": broker_lag.freshness(snapshot).members()}
    answer = json_response({"data": partitions, "next": None, "meta": meta})
    answer.headers["Loginlake-Snapshot"] = str(snapshot.id)
    return answer


def _partitions(covered: Offsets, ends: Offsets | None) -> list[dict[str, Any]]:
    known = ends or {}
    return [
        {"topic": at[0], "partition": at[1], "covered": covered.get(at, 0), "end": known.get(at)}
        for at in sorted({*covered, *known})
    ]
