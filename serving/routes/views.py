"""`/v1/attacks`, `/v1/entity_risk` and `/v1/sessions`: what is computed from other tables when it is read."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from lakehouse.tables.gold import ATTACKS, ENTITY_RISK, SESSIONS
from lakehouse.tables.model import Column, Table
from serving.deps import READ, ContextDep, NowDep, RequestContext, StoreDep, accepts
from serving.fallback import FallbackStore
from serving.parameters import FROM, LIMIT, TO, Parameter, QueryParams
from serving.queries import TableQuery, default_order, requested_snapshot, rows_at_snapshot
from serving.selection import ALWAYS, Period, filter_parameters, order_parameter, parse_period, parse_selection

router = APIRouter(prefix="/v1", tags=["views"])

FILTERABLE = (
    *("rule", "entity_type", "entity", "severity", "worked", "label", "level"),
    *("session_id", "username", "state"),
)


def _filterable(view: Table) -> tuple[Column, ...]:
    return tuple(column for column in view.columns if column.name in FILTERABLE)


def _accepted(view: Table) -> tuple[Parameter[Any], ...]:
    return (*filter_parameters(_filterable(view)), order_parameter(view.columns), LIMIT, *READ)


@router.get(
    "/attacks", summary="Attacks, and whether they worked", openapi_extra=accepts(FROM, TO, *_accepted(ATTACKS))
)
def attacks(context: ContextDep, store: StoreDep, *, now: NowDep) -> Response:
    """The confirmed detections with the successful logins during and after each; the newest first.

    `from` and `to` apply to the instant at which a rule first fired.
    """
    params = context.params(FROM, TO, *_accepted(ATTACKS))
    return _answer(ATTACKS, params, context=context, store=store, period=parse_period(params, now))


@router.get("/entity_risk", summary="Risk of users and addresses", openapi_extra=accepts(*_accepted(ENTITY_RISK)))
def entity_risk(context: ContextDep, store: StoreDep) -> Response:
    """The users and addresses with detections; the largest risk first."""
    params = context.params(*_accepted(ENTITY_RISK))
    return _answer(ENTITY_RISK, params, context=context, store=store, period=ALWAYS)


@router.get("/sessions", summary="Sessions of users", openapi_extra=accepts(FROM, TO, *_accepted(SESSIONS)))
def sessions(context: ContextDep, store: StoreDep, *, now: NowDep) -> Response:
    """When each session began and ended; the newest first. `from` and `to` apply to its first login."""
    params = context.params(FROM, TO, *_accepted(SESSIONS))
    return _answer(SESSIONS, params, context=context, store=store, period=parse_period(params, now))


def _answer(
    view: Table, params: QueryParams, *, context: RequestContext, store: FallbackStore, period: Period
) -> Response:
    selection = parse_selection(params, _filterable(view), sortable=view.columns, default=default_order(view))
    query = TableQuery(view, selection, period)
    responder = context.responder(params)
    snapshot = requested_snapshot(params, store)
    return responder.rows_at_snapshot(
        snapshot,
        # Labels belong to no snapshot: a new one changes the answer.
        repr((query.canonical, store.labels_version())),
        read=lambda: rows_at_snapshot(query, store, snapshot=snapshot),
        meta={"table": view.full_name},
    )
