"""A small lake without faults, written by delta-rs: raw logins, decoded as silver does, and three snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, write_deltalake

from gold.rules import load_rules
from gold.rules.evaluate_baselines import detect_all
from gold.transforms.base import pair_activity_hourly
from gold.transforms.first_seen import first_seen
from gold.transforms.metrics import metric_rows
from lakehouse.progress import BronzeProgress, Offsets, Partition, SilverProgress
from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import DETECTIONS, FIRST_SEEN, RESTATEMENTS, SNAPSHOTS
from lakehouse.tables.metrics import PAIR_ACTIVITY, STORED_METRICS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from loginlake.verify.report import Check, Report
from silver.decode import DecodeRules, decode
from silver.enrich import enrichment_versions
from tests.silver.records import a_login

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HEADERS = pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))
RAW_SCHEMA = pa.schema(
    pa.field(column.name, HEADERS) if isinstance(column.type, dict) else column.arrow_field()
    for column in RAW_LOGS.columns
)
BATCH = 8
# The next offsets of the healthy lake.
OFFSETS = {("logs", 0): 33, ("logs", 1): 6}


class HandmadeLake:
    """Writes bronze, silver, gold and snapshots as the jobs do, but all rows of a table at once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.raw: list[dict[str, Any]] = []
        self.published = 0

    def append_records(self, values: list[bytes | None], *, partition: int) -> None:
        """Append records to a partition of bronze as one batch."""
        first = sum(row["partition"] == partition for row in self.raw)
        self.append_offsets(range(first, first + len(values)), values, partition=partition)

    def append_offsets(
        self, offsets: Sequence[int], values: Sequence[bytes | None] | None = None, *, partition: int = 0
    ) -> None:
        """Append records with these offsets to a partition of bronze as one batch."""
        batch = len({row["ingested_at"] for row in self.raw})
        rows = [
            {
                "value": value,
                "topic": self.settings.topic,
                "partition": partition,
                "offset": offset,
                "appended_at": NOON + timedelta(hours=1),
                "timestamp_type": 1,
                "ingested_at": NOON + timedelta(hours=1, minutes=batch),
                "ingested_on": NOON.date(),
            }
            for offset, value in zip(offsets, values or [None] * len(offsets), strict=True)
        ]
        self.raw += rows
        self.append_raw(rows, read=self.nexts())

    def append_raw(self, rows: list[dict[str, Any]], *, read: Offsets) -> None:
        """Append rows to bronze, and record these next offsets in the commit."""
        last = max((row["ingested_at"] for row in self.raw), default=NOON)
        self.append(RAW_LOGS, pa.Table.from_pylist(rows, schema=RAW_SCHEMA), BronzeProgress(read, last).to_json())

    def publish(self) -> None:
        """Write silver and gold for all of bronze, and a snapshot."""
        events = with_duplicates(decoded(self.raw))
        progress = SilverProgress(self.nexts(), NOON.date(), enrichment_versions())
        self.overwrite(EVENTS, events.to_arrow(), progress.to_json())
        base = pair_activity_hourly(events.lazy()).collect()
        self.overwrite(PAIR_ACTIVITY, base.to_arrow())
        for metric in STORED_METRICS:
            rows = metric_rows(metric, base.lazy(), every=metric.stored).collect()
            self.overwrite(metric.table, rows.to_arrow())
        self.overwrite(FIRST_SEEN, first_seen(events.lazy()).collect().to_arrow())
        self.overwrite(DETECTIONS, detections(events, self.settings))
        self.overwrite(RESTATEMENTS, RESTATEMENTS.arrow_schema().empty_table())
        self.published += 1
        self.append_snapshot(self.published, self.nexts())

    def nexts(self) -> dict[Partition, int]:
        """Return the largest offset plus one of each partition."""
        return {
            (self.settings.topic, partition): max(row["offset"] for row in self.raw if row["partition"] == partition)
            + 1
            for partition in sorted({row["partition"] for row in self.raw})
        }

    def append_snapshot(self, number: int, covered: dict[tuple[str, int], int], **values: Any) -> None:
        """Append a row to gold.snapshots that names the newest versions."""
        snapshot = Snapshot(
            id=number,
            at=NOON + timedelta(hours=2, minutes=number),
            versions={table.full_name: self.table(table).version() for table in SNAPSHOT_TABLES},
            offsets=covered,
            last_event_at=NOON,
            last_append_at=NOON,
            enrichment=enrichment_versions(),
        )
        row = snapshot.row() | values
        rows = pa.Table.from_pylist([row], schema=SNAPSHOTS.arrow_schema())
        self.append(SNAPSHOTS, rows, snapshot.user_metadata())

    def append(self, table: Table, rows: pa.Table, user_metadata: str | None = None) -> None:
        """Append rows in one commit."""
        self._create(table)
        write_deltalake(self.uri(table), rows, mode="append", commit_properties=_properties(user_metadata))

    def overwrite(self, table: Table, rows: pa.Table, user_metadata: str | None = None) -> None:
        """Replace all rows in one commit."""
        self._create(table)
        write_deltalake(
            self.uri(table),
            rows.cast(table.arrow_schema()),
            mode="overwrite",
            commit_properties=_properties(user_metadata),
        )

    def table(self, table: Table) -> DeltaTable:
        """Return the open table."""
        return DeltaTable(self.uri(table))

    def uri(self, table: Table) -> str:
        """Return the folder of a table."""
        return self.settings.table_uri(table.layer, table.name)

    def log(self, table: Table) -> Path:
        """Return the folder of a table's Delta log."""
        return Path(self.uri(table)) / "_delta_log"

    def _create(self, table: Table) -> None:
        DeltaTable.create(
            self.uri(table),
            schema=Schema.from_json(table.schema_json()),
            partition_by=list(table.partition_by),
            mode="ignore",
        )


def _properties(user_metadata: str | None) -> CommitProperties:
    return CommitProperties(custom_metadata={"userMetadata": user_metadata} if user_metadata else None)


def a_healthy_lake(settings: Settings) -> HandmadeLake:
    """Write three snapshots over two partitions, with an attack, and duplicate, broken and ignored records."""
    lake = HandmadeLake(settings)
    for number in range(3):
        lake.append_records(
            [a_failure(number, second) for second in range(BATCH)] + [b"{}", b"not json", None], partition=0
        )
        lake.append_records([a_failure(number, 0), a_success(number)], partition=1)
        lake.publish()
    return lake


def a_failure(number: int, second: int) -> bytes:
    """Return a failed login; those of the healthy lake are one attack."""
    at = NOON + timedelta(minutes=number, seconds=second)
    return a_login(
        event_id=f"f{number}-{second}",
        event_at=at.isoformat(),
        outcome="failure",
        failure_reason="invalid_credentials",
        username=f"user{second % 3}",
        src_ip="203.0.113.9",
        app="portal",
    )


def a_success(number: int) -> bytes:
    """Return a successful login from another address."""
    at = NOON - timedelta(hours=number)
    return a_login(event_id=f"s{number}", event_at=at.isoformat(), outcome="success", username="ada", src_ip="1.1.1.1")


def decoded(raw: list[dict[str, Any]]) -> pl.DataFrame:
    """Return the silver rows of bronze rows, with every copy accepted."""
    records = pa.Table.from_pylist(raw, schema=RAW_SCHEMA).combine_chunks().to_batches()
    return pl.from_arrow(pa.Table.from_batches([decode(batch, DecodeRules()) for batch in records]))


def with_duplicates(events: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with each later copy as a duplicate of the first to arrive."""
    winners: dict[Any, dict[str, Any]] = {}
    rows = events.sort("ingested_at", "topic", "partition", "offset").to_dicts()
    for row in rows:
        if row["verdict"] == "accepted":
            winner = winners.setdefault((row["event_on"], row["event_id"]), row)
            if winner is not row:
                row["verdict"] = "duplicate"
                row |= {f"winner_{name}": winner[name] for name in ("topic", "partition", "offset")}
    return pl.DataFrame(rows, schema=events.schema)


def detections(events: pl.DataFrame, settings: Settings) -> pa.Table:
    """Return the detections of all rules."""
    return detect_all(events.lazy(), load_rules(settings))


def faults_of(report: Report) -> list[str]:
    """Return the details of all failed checks."""
    return [detail for check in failed(report) for detail in check.details]


def failed(report: Report) -> list[Check]:
    """Return the failed checks."""
    return [check for check in report.checks if check.passed is False]


def check_of(report: Report, claim: str) -> Check:
    """Return the check of a claim."""
    return next(check for check in report.checks if check.claim == claim)


def notes_of(report: Report) -> list[str]:
    """Return the notes of all checks."""
    return [note for check in report.checks for note in check.notes]
