"""Queries for the rows of a metric or of a table: parsed and checked once, for REST and the command line alike."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import polars as pl

from lakehouse.errors import BadQuery, LakeUnreadable, TableMissing, UnknownTable, name_hint
from lakehouse.snapshots import Snapshot
from lakehouse.tables import METRICS_BY_NAME
from lakehouse.tables.gold import ATTACKS, DETECTIONS, ENTITY_RISK, SESSIONS
from lakehouse.tables.model import Metric, Table, Window
from lakehouse.tables.silver import EVENTS
from serving.metrics import metric_frame, source_of
from serving.parameters import (
    AS_OF,
    DEFAULT_LIMIT,
    FROM,
    LIMIT,
    SNAPSHOT,
    TO,
    VERSION,
    Parameter,
    QueryParams,
    at_time,
    one_of,
    quoted,
)
from serving.selection import (
    ALWAYS,
    Order,
    Period,
    Positions,
    Selection,
    filter_parameters,
    order_parameter,
    parse_period,
    parse_selection,
)
from serving.store import Store, collected

# The rows of other tables are in the order of their key.
NEWEST_DETECTIONS_FIRST = (Order("fired_at", descending=True),)
DEFAULT_ORDERS = {
    DETECTIONS.full_name: NEWEST_DETECTIONS_FIRST,
    ATTACKS.full_name: NEWEST_DETECTIONS_FIRST,
    ENTITY_RISK.full_name: (Order("score", descending=True),),
    EVENTS.full_name: (Order("event_at", descending=True),),
    SESSIONS.full_name: (Order("started_at", descending=True),),
}
# The order of the events of a detection.
OLDEST_EVENTS_FIRST = (Order("event_at"),)


@dataclass(frozen=True)
class MetricQuery:
    """A query for rows of a metric."""

    metric: Metric
    every: Window
    period: Period
    selection: Selection

    @property
    def canonical(self) -> str:
        """The same text for the same query, however it was written."""
        return repr((self.metric.name, self.every, self.period, self.selection))


@dataclass(frozen=True)
class TableQuery:
    """A query for rows of a table; the period applies to the instant whose day the table is partitioned by."""

    table: Table
    selection: Selection
    period: Period = ALWAYS

    @property
    def canonical(self) -> str:
        """The same text for the same query, however it was written."""
        return repr((self.table.full_name, self.period, self.selection))

    def apply(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Return the selected rows of the table, sorted."""
        if self.table.instant is not None:
            days = self.period.days(self.table.partition_by[-1])
            rows = rows.filter(*days, *self.period.instants(self.table.instant))
        return self.selection.apply(rows, self.table.key)


def metric_named(name: str) -> Metric:
    """Return the metric of that name.

    Raises:
        UnknownTable: No metric has that name.
    """
    if name not in METRICS_BY_NAME:
        raise UnknownTable(f"There is no metric {quoted(name)}", hint=name_hint(name, METRICS_BY_NAME))
    return METRICS_BY_NAME[name]


def newest_windows_first(metric: Metric) -> tuple[Order, ...]:
    """Return the default order of a metric's rows: the newest window first, then the largest first measure."""
    return Order("window_at", descending=True), Order(metric.measures[0].name, descending=True)


def default_order(table: Table) -> tuple[Order, ...]:
    """Return the default order: the newest first, the largest risks first, other rows by key."""
    return DEFAULT_ORDERS.get(table.full_name, ())


def every_parameter(metric: Metric) -> Parameter[str]:
    """Return the parameter `every`: the length of the windows."""
    return Parameter(
        "every",
        one_of(*metric.every),
        f"Length of the windows; the default is {metric.default_every}.",
        schema={"type": "string", "enum": list(metric.every), "default": metric.default_every},
    )


def metric_parameters(metric: Metric) -> tuple[Parameter[Any], ...]:
    """Return the parameters of a query for the metric, without those that choose the snapshot."""
    return (
        every_parameter(metric),
        FROM,
        TO,
        *filter_parameters(metric.dimensions),
        order_parameter(metric.columns),
        LIMIT,
    )


def parse_metric_query(metric: Metric, params: QueryParams, *, now: datetime) -> MetricQuery:
    """Return the query with checked values.

    Args:
        metric: The metric whose rows are read.
        params: Parameters among `metric_parameters(metric)`; others are ignored.
        now: The instant that ages in `from` and `to` are subtracted from.

    Raises:
        BadQuery: A value is malformed or not allowed; the error names the allowed ones.
    """
    return MetricQuery(
        metric=metric,
        every=cast("Window", params.one(every_parameter(metric)) or metric.default_every),
        period=parse_period(params, now),
        selection=parse_selection(
            params, metric.dimensions, sortable=metric.columns, default=newest_windows_first(metric)
        ),
    )


def metric_rows_at_snapshot(query: MetricQuery, store: Store, *, snapshot: Snapshot) -> pl.DataFrame:
    """Return the selected rows of the metric at a snapshot: stored ones, or computed from the base.

    Raises:
        LakeUnreadable: A file is missing or damaged.
        SnapshotExpired: The snapshot has expired since it was looked up, and its files are deleted.
        SchemaDiffers: The table has an undeclared column, or one of another type.
        TableMissing: The snapshot is older than the metric's table.
    """
    source = source_of(query.metric, query.every)
    with store.reading_snapshot(snapshot):
        rows = metric_frame(query.metric, store, every=query.every, snapshot=snapshot, period=query.period)
        selected = query.selection.apply(rows, query.metric.key)
        return collected(selected, source, version=snapshot.versions.get(source.full_name))


def requested_snapshot(params: QueryParams, store: Store) -> Snapshot:
    """Return the snapshot that `as_of` or `snapshot` names; without either, the last one.

    Raises:
        BadQuery: Both are given.
        SnapshotMissing: No published snapshot matches.
        SnapshotExpired: The snapshot is no longer retained.
        InFuture: `as_of` is later than now.
    """
    snapshot_id, as_of = params.one(SNAPSHOT), params.one(at_time(AS_OF, store.now()))
    if snapshot_id is not None and as_of is not None:
        raise BadQuery("as_of and snapshot are both given", hint="Give only one of them")
    return store.snapshot(snapshot_id=snapshot_id, as_of=as_of)


def requested_version(params: QueryParams) -> int | None:
    """Return the version of one table that the query names, None if it names none.

    Raises:
        BadQuery: A snapshot is given too.
    """
    version = params.one(VERSION)
    if version is not None and (params.one(AS_OF) is not None or params.one(SNAPSHOT) is not None):
        raise BadQuery("version is given together with a snapshot", hint="Give one of version, snapshot and as_of")
    return version


def detection_with_id(detection_id: str, store: Store, *, snapshot: Snapshot) -> pl.DataFrame:
    """Return the one row of a detection at a snapshot.

    Raises:
        TableMissing: The snapshot has no detection with that id.
        LakeUnreadable: A file is missing or damaged.
        SnapshotExpired: The snapshot has expired since it was looked up, and its files are deleted.
        SchemaDiffers: The table has an undeclared column, or one of another type.
    """
    with store.reading_snapshot(snapshot):
        with_id = store.rows(DETECTIONS, snapshot).filter(pl.col("detection_id") == detection_id)
        found = collected(with_id, DETECTIONS, version=snapshot.versions.get(DETECTIONS.full_name))
    if found.is_empty():
        raise TableMissing(
            f"Snapshot {snapshot.id} has no detection {quoted(detection_id)}",
            hint="Use an id of the column detection_id of gold.detections",
        )
    return found


def evidence_of(detection_id: str, store: Store, *, snapshot: Snapshot) -> Positions:
    """Return the condition that selects the rows of a detection's evidence, in silver.events or bronze.raw_logs.

    Raises:
        TableMissing: The snapshot has no detection with that id.
        LakeUnreadable: A file is missing or damaged.
        SnapshotExpired: The snapshot has expired since it was looked up, and its files are deleted.
        SchemaDiffers: The table has an undeclared column, or one of another type.
    """
    (evidence,) = detection_with_id(detection_id, store, snapshot=snapshot)["evidence"]
    return Positions(tuple((topic, partition, offset) for topic, partition, offset in json.loads(evidence)))


def events_of_detection(
    detection_id: str, store: Store, *, snapshot: Snapshot, limit: int = DEFAULT_LIMIT
) -> TableQuery:
    """Return the query for the events of a detection's evidence, oldest first.

    Raises:
        TableMissing: The snapshot has no detection with that id.
        LakeUnreadable: A file is missing or damaged.
        SnapshotExpired: The snapshot has expired since it was looked up, and its files are deleted.
        SchemaDiffers: The table has an undeclared column, or one of another type.
    """
    evidence = evidence_of(detection_id, store, snapshot=snapshot)
    return TableQuery(EVENTS, Selection((evidence,), OLDEST_EVENTS_FIRST, limit))


def rows_at_snapshot(query: TableQuery, store: Store, *, snapshot: Snapshot) -> pl.DataFrame:
    """Return the selected rows of the table at a snapshot.

    Raises:
        LakeUnreadable: A file is missing or damaged.
        SnapshotExpired: The snapshot has expired since it was looked up, and its files are deleted.
        SchemaDiffers: The table has an undeclared column, or one of another type.
        TableMissing: The snapshot is older than the table.
    """
    table = query.table
    with store.reading_snapshot(snapshot):
        selected = query.apply(store.rows(table, snapshot))
        return collected(selected, table, version=snapshot.versions.get(table.full_name))


def rows_at_version(query: TableQuery, store: Store, *, version: int) -> pl.DataFrame:
    """Return the selected rows of one version of the table, for inspection.

    Raises:
        TableMissing: The table has no such version.
        SnapshotExpired: No retained snapshot names the version, and its files are deleted.
        SchemaDiffers: The table has an undeclared column, or one of another type.
        LakeUnreadable: A file is missing or damaged.
    """
    table = query.table
    try:
        return collected(query.apply(store.rows_at_version(table, version)), table, version=version)
    except LakeUnreadable as error:
        if store.is_retained(table, version):
            raise
        raise store.expired(f"Version {version} of {table.full_name}") from error
