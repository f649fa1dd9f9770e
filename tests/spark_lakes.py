"""Helpers for tests of the jobs: copy a lake, append bronze rows, and read tables."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from lakehouse.lake import Lake
from lakehouse.progress import BronzeProgress, furthest, read_bronze_progress
from lakehouse.schema import struct_type
from lakehouse.settings import Settings
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.model import Table
from loginlake.verify import VerifyOptions, verify
from serving.store import Store
from tests.loginlake.verify.lakes import faults_of
from tests.silver.records import a_login

FIRST_BATCH = datetime(2026, 2, 2, 12, tzinfo=UTC)
# Nobody listens here. The default address may be that of somebody's live demo, whose records these lakes lack.
NO_BROKER = "127.0.0.1:1"


def copied(spark: SparkSession, root: Path, to: Path, **settings: Any) -> Lake:
    """Copy the lake at `root` into the folder `to`, with a state folder beside it."""
    root = shutil.copytree(root, to / "lake")
    return Lake(
        spark, Settings(**{"root": str(root), "state": to / "state", "kafka": NO_BROKER} | settings, _env_file=None)
    )


def a_raw_login(offset: int, partition: int = 0, **fields: Any) -> dict[str, Any]:
    """Return a bronze row of format login; its event id is `e<partition>-<offset>` unless `fields` names another."""
    return a_raw(offset, partition, value=a_login(**{"event_id": f"e{partition}-{offset}"} | fields))


def a_raw(offset: int, partition: int = 0, value: bytes | None = b"{}") -> dict[str, Any]:
    """Return a bronze row."""
    appended_at = FIRST_BATCH - timedelta(hours=20) + timedelta(seconds=offset)
    return {
        "key": None,
        "value": value,
        "headers": None,
        "topic": "logs",
        "partition": partition,
        "offset": offset,
        "appended_at": appended_at,
        "timestamp_type": 1,
    }


# Its hour and its day are open until there is a later event.
FIRST_LOGIN = a_raw_login(0, event_at="2026-02-01T12:00:00Z")


def append_batch(lake: Lake, records: list[dict[str, Any]], *, number: int = 0) -> None:
    """Append rows to bronze as the stream does for its micro-batch of that number."""
    ingested_at = FIRST_BATCH + timedelta(minutes=number)
    rows = [row | {"ingested_at": ingested_at, "ingested_on": ingested_at.date()} for row in records]
    lake.ensure(RAW_LOGS)
    read = {(row["topic"], row["partition"]): row["offset"] + 1 for row in sorted(rows, key=itemgetter("offset"))}
    progress = BronzeProgress(furthest(read_bronze_progress(lake).offsets, read), ingested_at)
    lake.append(RAW_LOGS, lake.spark.createDataFrame(rows, struct_type(RAW_LOGS)), user_metadata=progress.to_json())


def rows_of(lake: Lake, table: Table) -> list[dict[str, Any]]:
    """Return all rows of a table, sorted by its key with nulls first; read by delta-rs, which is faster."""
    return pl.scan_delta(DeltaTable(lake.uri(table))).sort(*table.key).collect().to_dicts()


def faults_of_recomputation(lake: Lake) -> list[str]:
    """Return what differs if another engine computes the same silver and gold from bronze, cell by cell."""
    return faults_of(verify(lake.settings, Store(lake.settings), options=VerifyOptions(is_deep=True)))
