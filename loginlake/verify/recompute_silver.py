"""Silver recomputed from bronze: every record is decoded again, and SQL of our own decides which copy wins.

This is the entry point of `--deep`; gold follows from the recomputed silver in `recompute_gold`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl
import pyarrow as pa

from gold.rules import load_rules
from lakehouse.progress import is_below
from lakehouse.snapshots import Snapshot
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.silver import EVENTS
from loginlake.verify.bronze_to_silver import REBUILD_SILVER
from loginlake.verify.columns import unfilled_columns, unfilled_note
from loginlake.verify.commit_notes import next_offsets
from loginlake.verify.duckdb_engine import Engine, batches_of, temporary_engine
from loginlake.verify.pinned import PinnedLake
from loginlake.verify.recompute_gold import gold_checks
from loginlake.verify.report import Check, check
from silver.decode import ADDRESS_COLUMNS, AGENT_COLUMNS, RECORD_SCHEMA, DecodeRules, decode
from silver.enrich import enrichment_versions

ENRICHED = (*ADDRESS_COLUMNS, *AGENT_COLUMNS)

# Rows of an earlier version of their decoder can't be decoded the same way again: they are taken from silver.
OLDER = """
CREATE TEMP TABLE older AS
SELECT topic, partition, "offset" FROM live l JOIN decoded d USING (topic, partition, "offset")
WHERE l.format IS NOT DISTINCT FROM d.format AND l.decoder_version < d.decoder_version
"""
# Before the winners are known, every copy is accepted.
CANDIDATES = """
CREATE TABLE candidates AS
SELECT d.* {enriched} FROM decoded d LEFT JOIN live l USING (topic, partition, "offset")
WHERE (d.topic, d.partition, d."offset") NOT IN (SELECT (topic, partition, "offset") FROM older)
UNION ALL BY NAME
SELECT l.* REPLACE (
    CASE WHEN verdict = 'duplicate' THEN 'accepted' ELSE verdict END AS verdict,
    NULL::VARCHAR AS winner_topic, NULL::INTEGER AS winner_partition, NULL::BIGINT AS winner_offset)
FROM live l SEMI JOIN older USING (topic, partition, "offset")
"""
# The copy that reached bronze first wins; within a batch, the smallest position.
EXPECTED = """
CREATE TABLE expected AS
WITH ranked AS (
    SELECT topic, partition, "offset", row_number() OVER arrival AS place,
        first_value(topic) OVER arrival AS first_topic,
        first_value(partition) OVER arrival AS first_partition,
        first_value("offset") OVER arrival AS first_offset
    FROM candidates WHERE verdict = 'accepted' AND event_id IS NOT NULL
    WINDOW arrival AS (PARTITION BY event_on, event_id ORDER BY ingested_at, topic, partition, "offset")
)
SELECT c.* REPLACE (
    CASE WHEN place > 1 THEN 'duplicate' ELSE verdict END AS verdict,
    CASE WHEN place > 1 THEN first_topic END AS winner_topic,
    CASE WHEN place > 1 THEN first_partition END AS winner_partition,
    CASE WHEN place > 1 THEN first_offset END AS winner_offset)
FROM candidates c LEFT JOIN ranked USING (topic, partition, "offset")
"""


def recompute_checks(lake: PinnedLake) -> Iterator[Check]:
    """Compare silver and gold with what bronze gives when it is decoded again, at the versions of the snapshot."""
    events = lake.events() if lake.snapshot is None else lake.rows(EVENTS)
    with temporary_engine() as engine:
        _load_events(engine, lake, events=events)
        lake.options.progress("Recomputing silver and gold", 0, None)
        yield _silver_check(engine, lake)
        if lake.snapshot is not None:
            yield from gold_checks(engine, lake, rules=load_rules(lake.settings))


def _load_events(engine: Engine, lake: PinnedLake, *, events: pl.LazyFrame) -> None:
    """Create the tables `live`, silver as it is, and `decoded`, what today's decoders make of the same bronze rows."""
    engine.load("live", EVENTS, batches=batches_of(events, EVENTS))
    engine.load(
        "decoded", EVENTS, batches=_decoded(lake, lake.records().filter(is_below(next_offsets(events), pl.col)))
    )


def _decoded(lake: PinnedLake, records: pl.LazyFrame) -> Iterator[pa.RecordBatch]:
    rules, done, total = DecodeRules.from_settings(lake.settings), 0, lake.silver_positions.height
    for batch in batches_of(records.select(RECORD_SCHEMA.names), RAW_LOGS):
        yield decode(batch, rules)
        done += batch.num_rows
        lake.options.progress("Decoding bronze again", done, total)


def _silver_check(engine: Engine, lake: PinnedLake) -> Check:
    """Create the table `expected`, what silver should be, and compare every column of silver with it."""
    same_enrichment = has_installed_enrichment(lake.published)
    notes = expect_events(engine, same_enrichment=same_enrichment)
    for column in unfilled_columns(lake, EVENTS):
        if rows := engine.clear_where_null("expected", "live", key=EVENTS.key, column=column):
            notes.append(unfilled_note(column, rows, command="loginlake rebuild silver"))
    if unpublished := lake.silver_positions.height - engine.count("SELECT count(*) FROM live"):
        notes.append(f"{unpublished:,} rows that no snapshot names yet are not compared")
    found = engine.differences("live", "expected", key=EVENTS.key, columns=EVENTS.column_names)
    return check(
        "silver.events equals its recomputation from bronze",
        found.details,
        checked=found.rows,
        count=found.differing,
        hint=f"Check that the settings are those the lake was written with. {REBUILD_SILVER}",
        notes=notes,
    )


def expect_events(engine: Engine, *, same_enrichment: bool) -> list[str]:
    """Create the table `expected` from `live` and `decoded`, and return notes on what it takes from `live`.

    Args:
        engine: Has both tables.
        same_enrichment: Whether all of silver was enriched with the data that is installed here. Otherwise the
            enriched columns are taken from `live`.
    """
    from_live = ", ".join(f"l.{name} AS {name}" for name in ENRICHED)
    engine.run(OLDER)
    engine.run(CANDIDATES.format(enriched="" if same_enrichment else f"REPLACE ({from_live})"))
    engine.run(EXPECTED)
    notes = []
    if older := engine.count("SELECT count(*) FROM older"):
        notes.append(f"{older:,} rows of an earlier decoder version are not compared")
    if not same_enrichment:
        notes.append(
            f"{', '.join(ENRICHED)} are not compared: some rows were enriched with another version of the data"
        )
    return notes


def has_installed_enrichment(published: Sequence[Snapshot]) -> bool:
    """Return whether every snapshot was enriched with the data that is installed here."""
    installed = enrichment_versions()
    return all(snapshot.enrichment == installed for snapshot in published)
