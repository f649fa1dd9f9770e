"""`/v1/detections`: what the rules detected, with evidence."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from lakehouse.tables.gold import DETECTIONS
from lakehouse.tables.silver import EVENTS
from serving.deps import READ, ContextDep, NowDep, StoreDep, accepts
from serving.parameters import FROM, LIMIT, TO
from serving.queries import (
    NEWEST_DETECTIONS_FIRST,
    TableQuery,
    detection_with_id,
    events_of_detection,
    requested_snapshot,
    rows_at_snapshot,
)
from serving.selection import filter_parameters, order_parameter, parse_period, parse_selection

router = APIRouter(prefix="/v1/detections", tags=["detections"])

FILTERABLE = tuple(
    column for column in DETECTIONS.columns if column.name in ("rule", "entity_type", "entity", "severity", "status")
)
ACCEPTED = (FROM, TO, *filter_parameters(FILTERABLE), order_parameter(DETECTIONS.columns), LIMIT, *READ)


@router.get("", summary="Detections", openapi_extra=accepts(*ACCEPTED))
def detections(context: ContextDep, store: StoreDep, *, now: NowDep) -> Response:
    """The detections, the newest first; `from` and `to` apply to the instant at which a rule first fired."""
    params = context.params(*ACCEPTED)
    selection = parse_selection(params, FILTERABLE, sortable=DETECTIONS.columns, default=NEWEST_DETECTIONS_FIRST)
    query = TableQuery(DETECTIONS, selection, parse_period(params, now))
    responder = context.responder(params)
    snapshot = requested_snapshot(params, store)
    return responder.rows_at_snapshot(
        snapshot,
        query.canonical,
        read=lambda: rows_at_snapshot(query, store, snapshot=snapshot),
        meta={"table": DETECTIONS.full_name},
    )


@router.get("/{detection_id}", summary="One detection", openapi_extra=accepts(*READ))
def one_detection(detection_id: str, context: ContextDep, *, store: StoreDep) -> Response:
    """One row, with the bronze positions of its evidence."""
    params = context.params(*READ)
    responder = context.responder(params)
    snapshot = requested_snapshot(params, store)
    found = detection_with_id(detection_id, store, snapshot=snapshot)
    return responder.rows_at_snapshot(
        snapshot, repr(("detection", detection_id)), read=lambda: found, meta={"table": DETECTIONS.full_name}
    )


@router.get("/{detection_id}/events", summary="The events of a detection", openapi_extra=accepts(*READ))
def events(detection_id: str, context: ContextDep, *, store: StoreDep) -> Response:
    """The rows of silver.events at the positions of the evidence, oldest first; at most 100."""
    params = context.params(*READ)
    responder = context.responder(params)
    snapshot = requested_snapshot(params, store)
    query = events_of_detection(detection_id, store, snapshot=snapshot)
    return responder.rows_at_snapshot(
        snapshot,
        query.canonical,
        read=lambda: rows_at_snapshot(query, store, snapshot=snapshot),
        meta={"table": EVENTS.full_name},
    )
