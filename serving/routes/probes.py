"""`/livez` and `/readyz`: the probes of an orchestrator."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from lakehouse.snapshots import NO_SNAPSHOT
from serving.deps import ContextDep, StoreDep
from serving.problems import NotReady
from serving.responses import json_response

router = APIRouter(tags=["probes"])

# Coroutines: they read memory only, and must not wait in the thread pool behind queries.


@router.get("/livez", summary="Whether the process answers")
async def livez(context: ContextDep, *, request: Request) -> Response:
    """200 while the process answers, with the root of its lake; neither the lake nor the broker is read."""
    context.params()
    return json_response({"status": "alive", "root": request.app.state.full_root})


@router.get("/readyz", summary="Whether queries can be answered")
async def readyz(context: ContextDep, store: StoreDep, *, request: Request) -> Response:
    """200 if a snapshot is served, with status `degraded` while the lake is damaged; else 503."""
    context.params()
    state = store.state
    served, damage = state.served, state.damage
    if damage is not None and not state.is_ready:
        raise NotReady(damage.what, hint=damage.hint)
    if served is None or not state.is_ready:
        root = request.app.state.settings.root
        raise NotReady(f"The lake {root} has no snapshot yet", hint=f"{NO_SNAPSHOT}, or name another lake with --root")
    if damage is None:
        return json_response({"status": "ready", "snapshot": served.id})
    return json_response({"status": "degraded", "snapshot": served.id, "detail": damage.what, "hint": damage.hint})
