"""Rebuild silver: decode all of bronze again, and replace the table in one commit."""

from __future__ import annotations

from dataclasses import replace

import structlog

from lakehouse.lake import Lake
from lakehouse.progress import summarize_events
from lakehouse.steps import step
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.silver import EVENTS
from silver.decode import DecodeRules
from silver.enrich import enrichment_versions
from silver.job import decoded_events, with_duplicates

log = structlog.get_logger()


@step("Decoding all records")
def rewrite_events(lake: Lake) -> int:
    """Replace all of silver by the rows of bronze as they decode today, in one commit.

    The caller holds the lock of refresh.

    Returns:
        The number of rows that silver has now; 0 means that bronze is empty and nothing was written.
    """
    lake.ensure(EVENTS)
    if not lake.exists(RAW_LOGS):
        return 0
    lake.check_schema(RAW_LOGS)
    records = lake.read(RAW_LOGS, version=lake.version(RAW_LOGS))
    decoded = decoded_events(records, DecodeRules.from_settings(lake.settings)).persist()
    try:
        summary = summarize_events(decoded)
        if summary.rows == 0:
            return 0
        events = with_duplicates(lake, decoded, accepted=decoded.limit(0))
        progress = replace(summary.progress, enrichment=enrichment_versions())
        lake.overwrite(EVENTS, events, user_metadata=progress.to_json())
    finally:
        decoded.unpersist()
    log.info("table_rebuilt", table=EVENTS.full_name, rows=summary.rows)
    return summary.rows
