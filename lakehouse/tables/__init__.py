"""All tables and metrics of the lake."""

from __future__ import annotations

from collections.abc import Mapping

from lakehouse.errors import UnknownTable, name_hint
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import (
    ATTACKS,
    DETECTIONS,
    ENTITY_RISK,
    FIRST_SEEN,
    LABELS,
    RESTATEMENTS,
    SESSIONS,
    SNAPSHOTS,
)
from lakehouse.tables.metrics import METRICS, PAIR_ACTIVITY, STORED_METRICS
from lakehouse.tables.model import Metric, Table
from lakehouse.tables.silver import EVENTS

# The tables that a snapshot names: silver and all of gold except gold.snapshots and gold.labels.
SNAPSHOT_TABLES: tuple[Table, ...] = (
    EVENTS,
    PAIR_ACTIVITY,
    *(metric.table for metric in STORED_METRICS),
    FIRST_SEEN,
    DETECTIONS,
    RESTATEMENTS,
)
TABLES: dict[str, Table] = {table.full_name: table for table in (RAW_LOGS, *SNAPSHOT_TABLES, SNAPSHOTS, LABELS)}
# Computed from the tables of a snapshot when they are read.
VIEWS: dict[str, Table] = {view.full_name: view for view in (ATTACKS, ENTITY_RISK, SESSIONS)}
READABLE: dict[str, Table] = {**TABLES, **VIEWS}
METRICS_BY_NAME: dict[str, Metric] = {metric.name: metric for metric in METRICS}


def table_named(name: str, *, among: Mapping[str, Table] = TABLES) -> Table:
    """Return the table of a name, with or without its layer.

    Raises:
        UnknownTable: No table has that name.
    """
    for table in among.values():
        if name in (table.full_name, table.name):
            return table
    known = among if "." in name else [table.name for table in among.values()]
    raise UnknownTable(f"There is no table {name!r}", hint=name_hint(name, known), name=name)
