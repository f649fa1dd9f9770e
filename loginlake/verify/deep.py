"""Silver and gold computed again from bronze by another engine: what `--deep` adds beside reading every byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import polars as pl

from gold.rules import load_rules
from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot
from lakehouse.tables.silver import EVENTS
from loginlake.verify.engine import Engine, an_engine
from loginlake.verify.publications import next_offsets
from loginlake.verify.recompute_gold import gold_checks
from loginlake.verify.recompute_silver import events_check, expect_events, recompute_events
from loginlake.verify.report import Check
from loginlake.verify.scope import Scope
from serving.store import below, collected
from silver.decode import DecodeRules
from silver.enrich import enrichment_versions

Progress = Callable[[str, int, int], None]


def recomputed_checks(settings: Settings, scope: Scope, *, progress: Progress) -> Iterator[Check]:
    """Silver and gold against what bronze gives.

    Args:
        settings: Give the rules of decoding and of detection.
        scope: The lake.
        progress: Told what is done.
    """
    with an_engine() as engine:
        yield from _recomputed(engine, settings, scope=scope, progress=progress)


def _recomputed(engine: Engine, settings: Settings, *, scope: Scope, progress: Progress) -> Iterator[Check]:
    snapshot = scope.snapshot
    events = scope.events() if snapshot is None else scope.rows(EVENTS, snapshot)
    ends = next_offsets(events)
    rows = collected(events.select(pl.len()), EVENTS).item()
    recompute_events(
        engine,
        scope.records().filter(below(ends)),
        events=events,
        rules=DecodeRules.from_settings(settings),
        told=lambda done: progress("Decoding bronze again", done, rows),
    )
    progress("Computing silver and gold again", 0, 0)
    same_enrichment = is_enriched_alike(scope.published)
    expect_events(engine, same_enrichment=same_enrichment)
    silver = events_check(engine, same_enrichment=same_enrichment)
    unpublished = scope.silver.height - rows
    notes = [f"{unpublished:,} rows that no snapshot names yet are left out"] if unpublished else []
    yield replace(silver, notes=[*silver.notes, *notes])
    if snapshot is not None:
        yield from gold_checks(engine, scope, snapshot=snapshot, thresholds=load_rules(settings).brute_force_ip)


def is_enriched_alike(published: Sequence[Snapshot]) -> bool:
    """True where every snapshot was enriched with the data that is installed here."""
    here = enrichment_versions()
    return all(snapshot.enrichment == here for snapshot in published)
