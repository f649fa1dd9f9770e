"""From the events at which a rule fires to detections: chains of hits, their evidence, and rows of gold.detections."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import polars as pl

from gold.rules.model import AnyRule, Contexts, Rule
from gold.rules.windows import CONTEXT_SPAN, MICROSECOND
from lakehouse.tables.bronze import POSITION
from lakehouse.tables.gold import CONFIRMED

# The detections of a day depend on the events of this many days before and after it.
CONTEXT_DAYS = 1
# A detection lists so many positions, users and addresses of its evidence.
LISTED = 100

# A row of gold.detections.
Detection: TypeAlias = dict[str, Any]
# One row per detection: its number, and the rows of its first and its last hit.
Chains: TypeAlias = pl.DataFrame


def detections_of(events: Contexts, is_hit: pl.Series, *, rule: Rule) -> Iterator[Detection]:
    """Yield the detections of a rule.

    Args:
        events: Events that the rule reads.
        is_hit: Whether the rule fires at each of them.
        rule: The rule.
    """
    chains = hits_of_day(events, is_hit, rule=rule)
    if len(chains):
        yield from rows_of(_evidence(events, is_hit, chains=chains, rule=rule), rule)


def hits_of_day(events: Contexts, is_hit: pl.Series, *, rule: Rule) -> Chains:
    """Return the hits of each detection: chains of hits that are less than the rule's gap apart.

    A chain of hits that begins on the judged day is one detection of the day. A chain that begins the day before is a
    detection of that day, with one exception: if it begins within a window and a gap of the start of the context, it
    may really have begun earlier, outside the context. Then its hits on the day are a detection of the day. A window
    more than the gap, because the first hit of such a chain can be missed if it depends on events before the
    context; the next hit is found.
    """
    clock, in_context = pl.col("clock"), pl.col("clock") % CONTEXT_SPAN
    day_begins = timedelta(days=CONTEXT_DAYS) // MICROSECOND
    day_ends = day_begins + timedelta(days=1) // MICROSECOND
    begins = pl.col("begins")
    may_have_begun_earlier = begins < (rule.window + rule.gap) // MICROSECOND
    is_on_day = in_context.is_between(day_begins, day_ends, closed="left")
    return (
        events.select("clock")
        .with_row_index("row")
        .filter(is_hit)
        # A chain ends at a gap; contexts are further apart.
        .with_columns(chain=(clock.diff() >= rule.gap // MICROSECOND).fill_null(value=False).cum_sum())
        .with_columns(begins=in_context.first().over("chain"))
        .filter(begins.is_between(day_begins, day_ends, closed="left") | (may_have_begun_earlier & is_on_day))
        .group_by("chain", maintain_order=True)
        .agg(first_row=pl.col("row").first(), last_row=pl.col("row").last())
    )


def rows_of(evidence: pl.DataFrame, rule: AnyRule) -> Iterator[Detection]:
    """Yield the row of each detection.

    Args:
        evidence: Events in order, with the `chain` of each detection and `is_hit`, whether the rule fires at them.
        rule: The rule.
    """
    for found in _summaries(evidence, rule).iter_rows(named=True):
        yield _detection(found, rule)


def detection_id(rule: str, entity: str, *, fired_at: datetime) -> str:
    """Return the hash of rule, entity and the hour in which the rule first fired."""
    hour = fired_at.replace(minute=0, second=0, microsecond=0).isoformat()
    return hashlib.sha256("\n".join((rule, entity, hour)).encode()).hexdigest()[:32]


def _evidence(events: Contexts, is_hit: pl.Series, *, chains: Chains, rule: Rule) -> pl.DataFrame:
    """Return the evidence of each detection, with `chain`, and `is_hit` where an event is one of its hits."""
    clock = events["clock"]
    fired, ended = clock.gather(chains["first_row"]), clock.gather(chains["last_row"])
    spans = chains.with_columns(
        begin=clock.search_sorted(fired - rule.window // MICROSECOND, side="right"),
        end=clock.search_sorted(ended, side="right"),
    )
    rows = spans.with_columns(row=pl.int_ranges("begin", "end")).explode("row")
    of_chain = pl.col("row") >= pl.col("first_row")
    marked = rows.with_columns(is_hit=is_hit.gather(rows["row"])).select("chain", is_hit=pl.col("is_hit") & of_chain)
    return pl.concat([marked, events[rows["row"]]], how="horizontal").filter(rule.is_evidence)


def _summaries(evidence: pl.DataFrame, rule: AnyRule) -> pl.DataFrame:
    """Return for each detection what its row reports of its evidence."""
    at, is_hit = pl.col("event_at"), pl.col("is_hit")
    return evidence.group_by("chain", maintain_order=True).agg(
        pl.col("entity").first(),
        fired_at=at.filter(is_hit).first(),
        first_at=at.first(),
        last_at=at.last(),
        severity=rule.severity_of(),
        measures=pl.struct(*rule.measures, hits=is_hit.sum()),
        evidence=pl.struct(POSITION).head(LISTED),
        evidence_users=_first_distinct("username"),
        evidence_ips=_first_distinct("src_ip"),
    )


def _first_distinct(column: str) -> pl.Expr:
    return pl.col(column).drop_nulls().unique(maintain_order=True).head(LISTED)


def _detection(found: Mapping[str, Any], rule: AnyRule) -> Detection:
    """Return the row of gold.detections."""
    fired_at = found["fired_at"]
    return {
        "detection_id": detection_id(rule.name, found["entity"], fired_at=fired_at),
        "rule": rule.name,
        "rule_version": rule.version,
        "entity_type": rule.entity,
        "entity": found["entity"],
        "fired_at": fired_at,
        "fired_on": fired_at.date(),
        "first_at": found["first_at"],
        "last_at": found["last_at"],
        "severity": found["severity"],
        "status": CONFIRMED,
        "retracted_in": None,
        "measures": json.dumps(found["measures"], sort_keys=True),
        "evidence": json.dumps([tuple(position.values()) for position in found["evidence"]]),
        "evidence_users": json.dumps(found["evidence_users"], ensure_ascii=False),
        "evidence_ips": json.dumps(found["evidence_ips"], ensure_ascii=False),
        "technique": rule.technique,
    }
