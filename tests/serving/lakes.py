"""Small real lakes, written by delta-rs with the declared schemas."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable, Schema, write_deltalake

from gold.transforms.base import pair_activity_hourly
from gold.transforms.first_seen import first_seen
from gold.transforms.metrics import metric_rows
from lakehouse.settings import Settings
from lakehouse.snapshots import RETAINED_FROM, Snapshot
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import DETECTIONS, FIRST_SEEN, RESTATEMENTS, SNAPSHOTS
from lakehouse.tables.metrics import PAIR_ACTIVITY, STORED_METRICS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS

DAY = datetime(2026, 3, 2, tzinfo=UTC)
FIRST_PUBLISHED = DAY + timedelta(days=1)


def a_login(offset: int, **values: Any) -> dict[str, Any]:
    """An accepted failed login of user0001 in the first minute of the day, with the given values replaced."""
    at = values.get("event_at", DAY + timedelta(minutes=1))
    row: dict[str, Any] = dict.fromkeys(EVENTS.column_names)
    row |= {
        "event_id": f"event-{offset}",
        "event_at": at,
        "event_on": at.date(),
        "action": "login",
        "outcome": "failure",
        "failure_reason": "invalid_credentials",
        "times": 1,
        "username": "user0001",
        "src_ip": "192.0.2.1",
        "app": "portal",
        "is_private": False,
        "verdict": "accepted",
        "format": "login",
        "decoder_version": 1,
        "topic": "logs",
        "partition": 0,
        "offset": offset,
        "appended_at": at,
        "ingested_at": at,
    }
    return row | values


def a_detection(detection_id: str, **values: Any) -> dict[str, Any]:
    """A brute force from 192.0.2.1."""
    return {
        "detection_id": detection_id,
        "rule": "brute_force_ip",
        "rule_version": 1,
        "entity_type": "src_ip",
        "entity": "192.0.2.1",
        "fired_at": DAY + timedelta(minutes=5),
        "fired_on": DAY.date(),
        "first_at": DAY,
        "last_at": DAY + timedelta(minutes=5),
        "severity": "high",
        "status": "confirmed",
        "retracted_in": None,
        "measures": '{"failures":7}',
        "evidence": '[["logs",0,1]]',
        "evidence_users": '["user0001"]',
        "evidence_ips": '["192.0.2.1"]',
        "technique": "T1110",
    } | values


def settings_of(folder: Path) -> Settings:
    # No broker listens there: port 9 discards.
    return Settings(root=str(folder / "lake"), state=folder / "state", kafka="127.0.0.1:9", _env_file=None)


class SmallLake:
    """Publishes events as silver, gold and a snapshot, as the jobs do; each table is overwritten."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._events: list[dict[str, Any]] = []
        self._published = 0
        self._versions: dict[str, int] = {}

    def publish(
        self,
        events: list[dict[str, Any]],
        detections: list[dict[str, Any]],
        at: datetime = FIRST_PUBLISHED,
        *,
        value: bytes = b"\xff{}",
    ) -> Snapshot:
        """Add events, whose records have all the same bytes, and publish the snapshot that covers them."""
        self._events += events
        self._append_bronze(events, value)
        versions = {EVENTS.full_name: self._write(EVENTS, self._events)}
        frame = pl.from_arrow(pa.Table.from_pylist(self._events, schema=EVENTS.arrow_schema()))
        base = pair_activity_hourly(frame.lazy()).collect()
        versions[PAIR_ACTIVITY.full_name] = self._write(PAIR_ACTIVITY, base.to_dicts())
        for metric in STORED_METRICS:
            rows = metric_rows(metric, base.lazy(), every=metric.stored).collect()
            versions[metric.table.full_name] = self._write(metric.table, rows.to_dicts())
        versions[FIRST_SEEN.full_name] = self._write(FIRST_SEEN, first_seen(frame.lazy()).collect().to_dicts())
        versions[DETECTIONS.full_name] = self._write(DETECTIONS, detections)
        versions[RESTATEMENTS.full_name] = self._write(RESTATEMENTS, [])
        return self._append_snapshot(versions, at)

    def publish_changed(self, table: Table, change: Callable[[pa.Table], pa.Table], at: datetime) -> Snapshot:
        """Overwrite a table, with its schema, and publish a snapshot that differs from the last one in this table."""
        uri = self._settings.table_uri(table.layer, table.name)
        rows = DeltaTable(uri).to_pyarrow_table()
        write_deltalake(
            uri, change(rows), mode="overwrite", schema_mode="overwrite", partition_by=list(table.partition_by)
        )
        return self._append_snapshot({**self._versions, table.full_name: DeltaTable(uri).version()}, at)

    def retain_from(self, snapshot_id: object) -> None:
        """Let the earlier snapshots expire, as `loginlake maintain` does."""
        retain_from(self._settings, snapshot_id)

    def continue_after(self, *, published: int) -> None:
        """Continue with the snapshot after this one, without the events so far."""
        self._events = []
        self._published = published

    def _append_snapshot(self, versions: dict[str, int], at: datetime) -> Snapshot:
        self._versions = versions
        self._published += 1
        snapshot = Snapshot(
            id=self._published,
            at=at,
            versions=versions,
            offsets={("logs", 0): max(event["offset"] for event in self._events) + 1},
            last_event_at=max(event["event_at"] for event in self._events),
            last_append_at=max(event["appended_at"] for event in self._events),
            enrichment={},
        )
        self._write(SNAPSHOTS, [snapshot.row()], mode="append")
        return snapshot

    def _append_bronze(self, events: list[dict[str, Any]], value: bytes) -> None:
        uri = self._settings.table_uri(RAW_LOGS.layer, RAW_LOGS.name)
        DeltaTable.create(
            uri,
            schema=Schema.from_json(RAW_LOGS.schema_json()),
            partition_by=list(RAW_LOGS.partition_by),
            mode="ignore",
        )
        write_deltalake(
            uri, pa.Table.from_pylist([_raw(event, value) for event in events], schema=_raw_schema()), mode="append"
        )

    def _write(self, table: Table, rows: list[dict[str, Any]], mode: str = "overwrite") -> int:
        uri = self._settings.table_uri(table.layer, table.name)
        arrow = pa.Table.from_pylist(rows, schema=table.arrow_schema())
        write_deltalake(uri, arrow, mode=mode, partition_by=list(table.partition_by))
        return DeltaTable(uri).version()


def retain_from(settings: Settings, snapshot_id: object) -> None:
    """Set the oldest retained snapshot."""
    publications = DeltaTable(settings.table_uri(SNAPSHOTS.layer, SNAPSHOTS.name))
    publications.alter.set_table_properties({RETAINED_FROM: str(snapshot_id)}, raise_if_not_exists=False)


def _raw(event: dict[str, Any], value: bytes) -> dict[str, Any]:
    return {
        "key": b"user0001",
        "value": value,
        "headers": [{"key": "format", "value": b"login"}],
        "topic": event["topic"],
        "partition": event["partition"],
        "offset": event["offset"],
        "appended_at": event["appended_at"],
        "timestamp_type": 1,
        "ingested_at": event["ingested_at"],
        "ingested_on": event["ingested_at"].date(),
    }


def _raw_schema() -> pa.Schema:
    headers = pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))
    return pa.schema(
        pa.field(column.name, headers) if isinstance(column.type, dict) else column.arrow_field()
        for column in RAW_LOGS.columns
    )


def publish_twice(settings: Settings) -> None:
    """Two snapshots with different figures: 3 attempts from one address, then 5 more, 4 of them from another."""
    lake = SmallLake(settings)
    lake.publish([a_login(offset) for offset in range(3)], [])
    others = [a_login(offset, src_ip="198.51.100.7", username=f"user{offset:04}") for offset in range(3, 7)]
    later = a_login(7, event_at=DAY + timedelta(hours=5), outcome="success", failure_reason=None, src_ip=None)
    lake.publish([*others, later], [a_detection("d1")], FIRST_PUBLISHED + timedelta(hours=1))
