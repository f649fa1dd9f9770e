"""A small lake that holds every claim, written by delta-rs: raw logins, decoded as silver does, and three snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, write_deltalake

from gold.rules import load_rules
from gold.transforms.detections import brute_force_ip, suspects
from gold.transforms.metrics import metric_rows, pair_activity_hourly
from lakehouse.extent import Extent
from lakehouse.offsets import Offsets, Partition
from lakehouse.progress import Progress
from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import DETECTIONS, PAIR_ACTIVITY, RESTATEMENTS, SNAPSHOTS, STORED_METRICS
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
# What a healthy lake has read.
OFFSETS = {("logs", 0): 33, ("logs", 1): 6}


class HandmadeLake:
    """Bronze, silver, gold and snapshots as the jobs leave them, small enough to be written whole each time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.raw: list[dict[str, Any]] = []
        self.published = 0

    def take(self, values: list[bytes | None], *, partition: int) -> None:
        """Appends records to a partition of bronze, as one batch."""
        first = sum(row["partition"] == partition for row in self.raw)
        self.take_at(range(first, first + len(values)), values, partition=partition)

    def take_at(
        self, offsets: Sequence[int], values: Sequence[bytes | None] | None = None, *, partition: int = 0
    ) -> None:
        """Appends records with these offsets to a partition of bronze, as one batch."""
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
        """Appends these rows to bronze, and notes that it has read up to these offsets."""
        last = max((row["ingested_at"] for row in self.raw), default=NOON)
        self.append(RAW_LOGS, pa.Table.from_pylist(rows, schema=RAW_SCHEMA), Extent(read, last).to_json())

    def publish(self) -> None:
        """Writes silver and gold for all of bronze, and a snapshot."""
        events = settled(decoded(self.raw))
        noted = Progress(self.nexts(), NOON.date(), enrichment_versions())
        self.overwrite(EVENTS, events.to_arrow(), noted.to_json())
        base = pair_activity_hourly(events.lazy()).collect()
        self.overwrite(PAIR_ACTIVITY, base.to_arrow())
        for metric in STORED_METRICS:
            rows = metric_rows(metric, base.lazy(), every=metric.stored).collect()
            self.overwrite(metric.table, rows.to_arrow())
        self.overwrite(DETECTIONS, detections(events, self.settings))
        self.overwrite(RESTATEMENTS, RESTATEMENTS.arrow_schema().empty_table())
        self.published += 1
        self.append_snapshot(self.published, self.nexts())

    def nexts(self) -> dict[Partition, int]:
        """One past the largest offset of each partition."""
        return {
            (self.settings.topic, partition): max(row["offset"] for row in self.raw if row["partition"] == partition)
            + 1
            for partition in sorted({row["partition"] for row in self.raw})
        }

    def append_snapshot(self, number: int, covered: dict[tuple[str, int], int], **values: Any) -> None:
        """Appends a row to gold.snapshots that names what is there now."""
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

    def append(self, table: Table, rows: pa.Table, noted: str | None = None) -> None:
        """One commit with the rows beside those that are there, and a note."""
        self._create(table)
        write_deltalake(self.uri(table), rows, mode="append", commit_properties=_noting(noted))

    def overwrite(self, table: Table, rows: pa.Table, noted: str | None = None) -> None:
        """One commit with the rows in place of those that are there, and a note."""
        self._create(table)
        write_deltalake(
            self.uri(table), rows.cast(table.arrow_schema()), mode="overwrite", commit_properties=_noting(noted)
        )

    def table(self, table: Table) -> DeltaTable:
        """The table, open."""
        return DeltaTable(self.uri(table))

    def uri(self, table: Table) -> str:
        """Where it lies."""
        return self.settings.table_uri(table.layer, table.name)

    def log(self, table: Table) -> Path:
        """The folder of its commits."""
        return Path(self.uri(table)) / "_delta_log"

    def _create(self, table: Table) -> None:
        DeltaTable.create(
            self.uri(table),
            schema=Schema.from_json(table.schema_json()),
            partition_by=list(table.partition_by),
            mode="ignore",
        )


def _noting(text: str | None) -> CommitProperties:
    return CommitProperties(custom_metadata={"userMetadata": text} if text else None)


def a_healthy_lake(settings: Settings) -> HandmadeLake:
    """Three snapshots over two partitions: attacks, duplicates across partitions, broken and ignored records."""
    lake = HandmadeLake(settings)
    for number in range(3):
        lake.take([a_failure(number, second) for second in range(BATCH)] + [b"{}", b"not json", None], partition=0)
        lake.take([a_failure(number, 0), a_success(number)], partition=1)
        lake.publish()
    return lake


def a_failure(number: int, second: int) -> bytes:
    """A failed login; some of them are one attack."""
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
    """A login that succeeded, from another address."""
    at = NOON - timedelta(hours=number)
    return a_login(event_id=f"s{number}", event_at=at.isoformat(), outcome="success", username="ada", src_ip="1.1.1.1")


def decoded(raw: list[dict[str, Any]]) -> pl.DataFrame:
    """Silver rows of bronze rows, duplicates not settled."""
    records = pa.Table.from_pylist(raw, schema=RAW_SCHEMA).combine_chunks().to_batches()
    return pl.from_arrow(pa.Table.from_batches([decode(batch, DecodeRules()) for batch in records]))


def settled(events: pl.DataFrame) -> pl.DataFrame:
    """The rows where each later copy is a duplicate of the first to arrive."""
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
    """What the rule finds in the rows."""
    rule = load_rules(settings).brute_force_ip
    failures = suspects(events.lazy(), rule).collect()
    found = [brute_force_ip(rule)(of_ip.to_arrow()) for of_ip in failures.partition_by("src_ip")]
    return pa.concat_tables([DETECTIONS.arrow_schema().empty_table(), *found])


def faults_of(report: Report) -> list[str]:
    """All faults by name."""
    return [name for check in faulty(report) for name in check.named]


def faulty(report: Report) -> list[Check]:
    """The checks that do not hold."""
    return [check for check in report.checks if check.holds is False]
