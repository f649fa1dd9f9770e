"""`/v1/detections`: what was detected, with its evidence."""

from __future__ import annotations

import polars as pl
from fastapi import APIRouter
from starlette.responses import Response

from lakehouse.errors import TableMissing
from lakehouse.tables.gold import DETECTIONS
from serving.deps import READ, Answered, Asking, Now, Reading, takes
from serving.parameters import FROM, LIMIT, TO
from serving.selection import filter_parameters, order_parameter, period, selection
from serving.store import collected, snapshot_asked
from serving.table_rows import NEWEST_DETECTIONS_FIRST, TableQuery, rows_at_snapshot
from serving.values import shortened

router = APIRouter(prefix="/v1/detections", tags=["detections"])

FILTERED = tuple(
    column for column in DETECTIONS.columns if column.name in ("rule", "entity_type", "entity", "severity", "status")
)
TAKES = (FROM, TO, *filter_parameters(FILTERED), order_parameter(DETECTIONS.columns), LIMIT, *READ)


@router.get("", summary="What was detected", openapi_extra=takes(*TAKES))
def detections(asking: Asking, store: Reading, *, now: Now, answers: Answered) -> Response:
    """The newest first; `from` and `to` are about when a rule first fired."""
    asked = asking.of(*TAKES)
    wanted = selection(asked, FILTERED, ordered=DETECTIONS.columns, default=NEWEST_DETECTIONS_FIRST)
    query = TableQuery(DETECTIONS, wanted, period(asked, now))
    answering = answers.to(asked)
    snapshot = snapshot_asked(asked, store)
    return answering.at(
        snapshot,
        query.canonical,
        rows=lambda: rows_at_snapshot(query, store, snapshot=snapshot),
        meta={"table": DETECTIONS.full_name},
    )


@router.get("/{detection_id}", summary="One detection", openapi_extra=takes(*READ))
def one_detection(detection_id: str, asking: Asking, *, store: Reading, answers: Answered) -> Response:
    """One row, with the bronze positions of its evidence."""
    asked = asking.of(*READ)
    answering = answers.to(asked)
    snapshot = snapshot_asked(asked, store)
    wanted = store.rows(DETECTIONS, snapshot).filter(pl.col("detection_id") == detection_id)
    found = collected(wanted, DETECTIONS)
    if found.is_empty():
        raise TableMissing(
            f"Snapshot {snapshot.id} has no detection {shortened(detection_id)}",
            hint="See /v1/detections for those there are",
        )
    return answering.at(
        snapshot, repr(("detection", detection_id)), rows=lambda: found, meta={"table": DETECTIONS.full_name}
    )
