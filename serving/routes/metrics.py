"""`/v1/metrics`: the catalogue, and the rows of each metric."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from lakehouse.tables.metrics import METRICS
from lakehouse.tables.model import Metric
from serving.deps import JSON_ONLY, READ, ContextDep, NowDep, StoreDep, accepts
from serving.queries import (
    metric_named,
    metric_parameters,
    metric_rows_at_snapshot,
    parse_metric_query,
    requested_snapshot,
)
from serving.responses import describe_column, json_response

router = APIRouter(prefix="/v1/metrics", tags=["metrics"])

OF_ANY_METRIC = tuple(parameter for metric in METRICS for parameter in metric_parameters(metric))


@router.get("", summary="The catalogue of metrics", dependencies=JSON_ONLY)
def metrics(context: ContextDep) -> Response:
    """Each metric: its table, grain, dimensions, measures and windows."""
    context.params()
    return json_response({"data": [_describe(metric) for metric in METRICS], "next": None, "meta": {}})


@router.get("/{metric}", summary="Rows of a metric", openapi_extra=accepts(*OF_ANY_METRIC, *READ))
def rows_of_metric(metric: str, context: ContextDep, *, store: StoreDep, now: NowDep) -> Response:
    """The newest window first, unless `order_by` is given; each metric has filters for its own dimensions."""
    declared = metric_named(metric)
    params = context.params(*metric_parameters(declared), *READ)
    query = parse_metric_query(declared, params, now=now)
    responder = context.responder(params)
    snapshot = requested_snapshot(params, store)
    return responder.rows_at_snapshot(
        snapshot,
        query.canonical,
        read=lambda: metric_rows_at_snapshot(query, store, snapshot=snapshot),
        meta={"metric": metric, "every": query.every},
    )


def _describe(metric: Metric) -> dict[str, Any]:
    return {
        "name": metric.name,
        "meaning": metric.meaning,
        "table": metric.table.full_name if metric.stored else None,
        "grain": metric.grain,
        "dimensions": [describe_column(column) for column in metric.dimensions],
        "measures": [describe_column(column) for column in metric.measures],
        "every": metric.every,
        "default_every": metric.default_every,
        "live": False,
    }
