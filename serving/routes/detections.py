"""`/v1/detections`: what the rules detected, with evidence."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.responses import Response

from lakehouse.tables.gold import DETECTIONS, LABELS, LabelValue
from lakehouse.tables.silver import EVENTS
from serving.deps import JSON_ONLY, READ, ContextDep, NowDep, StoreDep, accepts
from serving.labels import Label, append_label
from serving.parameters import DEFAULT_LIMIT, FROM, LIMIT, TO
from serving.queries import (
    NEWEST_DETECTIONS_FIRST,
    TableQuery,
    detection_with_id,
    events_of_detection,
    requested_snapshot,
    rows_at_snapshot,
)
from serving.responses import json_response
from serving.selection import Filter, Selection, filter_parameters, order_parameter, parse_period, parse_selection

MAX_NOTE = 2_000

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


@router.get("/{detection_id}/events", summary="The events of a detection", openapi_extra=accepts(LIMIT, *READ))
def events(detection_id: str, context: ContextDep, *, store: StoreDep) -> Response:
    """The rows of silver.events at the positions of the evidence, oldest first; at most 100."""
    params = context.params(LIMIT, *READ)
    responder = context.responder(params)
    snapshot = requested_snapshot(params, store)
    limit = params.one(LIMIT) or DEFAULT_LIMIT
    query = events_of_detection(detection_id, store, snapshot=snapshot, limit=limit)
    return responder.rows_at_snapshot(
        snapshot,
        query.canonical,
        read=lambda: rows_at_snapshot(query, store, snapshot=snapshot),
        meta={"table": EVENTS.full_name},
    )


class NewLabel(BaseModel):
    """The body of a request that labels a detection."""

    model_config = ConfigDict(extra="forbid", strict=True)

    label: LabelValue
    note: Annotated[str, StringConstraints(max_length=MAX_NOTE)] = ""
    author: Annotated[str, StringConstraints(min_length=1, max_length=200)]


@router.post("/{detection_id}/labels", summary="Label a detection", status_code=201, dependencies=JSON_ONLY)
def add_label(detection_id: str, body: NewLabel, *, context: ContextDep, store: StoreDep, now: NowDep) -> Response:
    """Label a detection as an attack (`true`), a mistake of its rule (`false`), or harmless (`benign`)."""
    context.params()
    label = Label(detection_id, now, body.label, note=body.note, author=body.author)
    append_label(label, store=store, snapshot=store.snapshot())
    answer = json_response({"data": asdict(label), "next": None, "meta": {"table": LABELS.full_name}})
    answer.status_code = 201
    return answer


@router.get("/{detection_id}/labels", summary="The labels of a detection", openapi_extra=accepts(LIMIT, *READ))
def labels(detection_id: str, context: ContextDep, *, store: StoreDep) -> Response:
    """The labels of a detection, the oldest first; the last one counts."""
    params = context.params(LIMIT, *READ)
    query = TableQuery(LABELS, Selection((Filter("detection_id", (detection_id,)),), limit=params.one(LIMIT)))
    snapshot = requested_snapshot(params, store)
    detection_with_id(detection_id, store, snapshot=snapshot)
    return context.responder(params).rows(
        rows_at_snapshot(query, store, snapshot=snapshot), {"table": LABELS.full_name}
    )
