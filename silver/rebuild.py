"""Rebuilding silver: all of bronze decoded again, written over the table in one commit."""

from __future__ import annotations

import structlog

from lakehouse.lake import Lake
from lakehouse.progress import Progress, extent_of
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.silver import EVENTS
from silver.decode import DecodeRules
from silver.enrich import enrichment_versions
from silver.job import decoded_events, with_duplicates

log = structlog.get_logger()


def rewrite_events(lake: Lake) -> int:
    """Writes silver anew from all of bronze, in one commit; for a caller that holds the lock of refresh.

    Returns:
        How many rows silver has now; 0 means that bronze is empty and nothing was written.
    """
    lake.ensure(RAW_LOGS)
    lake.ensure(EVENTS)
    records = lake.read(RAW_LOGS, version=lake.version(RAW_LOGS))
    decoded = decoded_events(records, DecodeRules.from_settings(lake.settings)).persist()
    try:
        extent = extent_of(decoded)
        if extent.rows == 0:
            return 0
        events = with_duplicates(decoded, accepted=decoded.limit(0))
        progress = Progress(extent.offsets, extent.ingested_on, enrichment_versions())
        lake.overwrite(EVENTS, events, user_metadata=progress.to_json())
    finally:
        decoded.unpersist()
    log.info("table_rebuilt", table=EVENTS.full_name, rows=extent.rows)
    return extent.rows
