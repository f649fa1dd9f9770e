"""Silver again from bronze: every record decoded anew, and the winners settled by SQL of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import polars as pl
import pyarrow as pa

from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.silver import EVENTS
from loginlake.verify.engine import Engine, batches_of
from loginlake.verify.positions import REBUILD
from loginlake.verify.report import Check, check
from silver.decode import ADDRESS_COLUMNS, AGENT_COLUMNS, RECORD_SCHEMA, DecodeRules, decode

ENRICHED = (*ADDRESS_COLUMNS, *AGENT_COLUMNS)

# Rows of an earlier version of their decoder can't be decoded as they were: they are taken as silver has them.
OLDER = """
CREATE TEMP TABLE older AS
SELECT topic, partition, "offset" FROM live l JOIN decoded d USING (topic, partition, "offset")
WHERE l.format IS NOT DISTINCT FROM d.format AND l.decoder_version < d.decoder_version
"""
# Before it is settled which copy wins, every copy is accepted.
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
# The copy that reached bronze first wins; of one batch, the least position.
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


def recompute_events(
    engine: Engine, records: pl.LazyFrame, *, events: pl.LazyFrame, rules: DecodeRules, told: Callable[[int], None]
) -> None:
    """Makes the tables `live`, silver as it is, and `decoded`, silver as today's decoders read bronze.

    Args:
        engine: Where to.
        records: Rows of bronze, those that silver has read.
        events: Rows of silver.
        rules: What decoding depends on.
        told: Called with the number of records decoded so far.
    """
    engine.load("live", EVENTS, batches=batches_of(events, EVENTS))
    engine.load("decoded", EVENTS, batches=_decoded(records, rules, told=told))


def expect_events(engine: Engine, *, same_enrichment: bool) -> None:
    """Makes the table `expected` of `live` and `decoded`: what silver must be.

    Args:
        engine: Has both tables.
        same_enrichment: True where all of silver was enriched with the data that is installed here; elsewhere these
            columns are taken as silver has them.
    """
    taken = ", ".join(f"l.{name} AS {name}" for name in ENRICHED)
    engine.run(OLDER)
    engine.run(CANDIDATES.format(enriched="" if same_enrichment else f"REPLACE ({taken})"))
    engine.run(EXPECTED)


def events_check(engine: Engine, *, same_enrichment: bool) -> Check:
    """Silver is what bronze gives, in every column."""
    found = engine.differences("live", "expected", key=EVENTS.key, columns=EVENTS.column_names)
    older = engine.count("SELECT count(*) FROM older")
    notes = [f"{older:,} rows decoded by an older release, taken as they are"] if older else []
    if not same_enrichment:
        notes.append(f"{', '.join(ENRICHED)} not compared: some rows were enriched with other data than is here")
    return check(
        "silver.events is what bronze gives when it is decoded again",
        found.named,
        checked=found.rows,
        count=found.differing,
        hint=f"{REBUILD}; first see that the settings are those the lake was written with",
        notes=notes,
    )


def _decoded(records: pl.LazyFrame, rules: DecodeRules, *, told: Callable[[int], None]) -> Iterator[pa.RecordBatch]:
    done = 0
    for batch in batches_of(records.select(RECORD_SCHEMA.names), RAW_LOGS):
        yield decode(batch, rules)
        done += batch.num_rows
        told(done)
