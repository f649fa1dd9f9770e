"""`/livez` and `/readyz`: what an orchestrator asks."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from lakehouse.errors import LakehouseError
from serving.deps import Asking, Reading
from serving.problems import NotReady
from serving.responses import json_response

router = APIRouter(tags=["probes"])


@router.get("/livez", summary="Whether the process answers")
def livez(asking: Asking) -> Response:
    """Asks nothing of the lake nor of the broker."""
    asking.of()
    return json_response({"status": "alive"})


@router.get("/readyz", summary="Whether questions can be answered")
def readyz(asking: Asking, store: Reading) -> Response:
    """200 where a snapshot is served, which is `degraded` where the lake behind it is damaged; else 503."""
    asking.of()
    try:
        damage = store.damage()
        snapshot = store.snapshot()
    except LakehouseError as error:
        raise NotReady(error.what, hint=error.hint) from error
    if damage is None:
        return json_response({"status": "ready", "snapshot": snapshot.id})
    return json_response({"status": "degraded", "snapshot": snapshot.id, "detail": damage.what, "hint": damage.hint})
