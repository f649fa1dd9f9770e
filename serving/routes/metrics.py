"""`/v1/metrics`: the catalogue, and the rows of each metric."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from lakehouse.tables.gold import METRICS
from lakehouse.tables.model import Metric
from serving.deps import READ, Answered, Asking, Now, Reading, takes
from serving.metric_query import answer, default_window, metric_named, metric_parameters, metric_query
from serving.responses import described_column, json_response
from serving.store import snapshot_asked

router = APIRouter(prefix="/v1/metrics", tags=["metrics"])

ANY_METRIC = tuple(parameter for metric in METRICS for parameter in metric_parameters(metric))


@router.get("", summary="The catalogue of metrics")
def metrics(asking: Asking) -> Response:
    """Each metric: its table, grain, dimensions, measures and windows."""
    asking.of()
    return json_response({"data": [_described(metric) for metric in METRICS], "next": None, "meta": {}})


@router.get("/{metric}", summary="Rows of a metric", openapi_extra=takes(*ANY_METRIC, *READ))
def rows_of_metric(metric: str, asking: Asking, *, store: Reading, now: Now, answers: Answered) -> Response:
    """The newest window first, unless ordered otherwise; filters are those of the metric's own dimensions."""
    declared = metric_named(metric)
    asked = asking.of(*metric_parameters(declared), *READ)
    query = metric_query(declared, asked, clock=now)
    answering = answers.to(asked)
    snapshot = snapshot_asked(asked, store)
    return answering.at(
        snapshot,
        query.canonical,
        rows=lambda: answer(query, store, snapshot=snapshot),
        meta={"metric": metric, "every": query.every},
    )


def _described(metric: Metric) -> dict[str, Any]:
    return {
        "name": metric.name,
        "meaning": metric.meaning,
        "table": metric.table.full_name if metric.stored else None,
        "grain": f"one row per window and {' and '.join(column.name for column in metric.dimensions)}",
        "dimensions": [described_column(column) for column in metric.dimensions],
        "measures": [described_column(column) for column in metric.measures],
        "every": metric.every,
        "default_every": default_window(metric),
        "live": False,
    }
