"""Views over detections: which attacks worked, and the risk of users and addresses. Computed when they are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from math import prod
from typing import Any

import polars as pl

from lakehouse.snapshots import Snapshot
from lakehouse.tables.gold import ATTACKS, CONFIRMED, DETECTIONS, ENTITY_RISK, LABELS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from serving.delta_tables import declared_schema
from serving.integrity import reading

# Logins this long after the last event of an attack still count as its success.
AFTER = timedelta(days=1)
LISTED = 100
# How likely a detection of a severity matters, when it is new.
WEIGHTS = {"low": 0.1, "medium": 0.3, "high": 0.6, "critical": 0.9}
# The weight of a detection halves in this time.
HALF_LIFE = timedelta(days=7)
HARMLESS = ("false", "benign")
LEVELS = ((75, "critical"), (50, "high"), (25, "medium"), (0, "low"))
TOP_REASONS = 3

# Returns the rows of a table at the snapshot that is read, as a lazy frame.
Rows = Callable[[Table], pl.LazyFrame]


def attacks(rows: Rows, *, snapshot: Snapshot) -> pl.LazyFrame:
    """Return the view `attacks`: each confirmed detection, whether it worked, and its label.

    Args:
        rows: Reads the tables of the snapshot.
        snapshot: Its versions are named in errors.

    Raises:
        LakeUnreadable: A file of a table is missing or damaged.
    """
    held = _confirmed(rows, snapshot)
    names = [name for name in ATTACKS.column_names if name in held.columns]
    found = held.select(names).join(_logins(held, rows, snapshot=snapshot), on="detection_id", how="left")
    found = found.join(last_labels(rows), on="detection_id", how="left").with_columns(
        pl.col("successes").fill_null(0), pl.col("success_users", "success_evidence").fill_null("[]")
    )
    return found.with_columns(worked=pl.col("successes") > 0).select(ATTACKS.column_names).lazy()


def entity_risk(rows: Rows, *, snapshot: Snapshot) -> pl.LazyFrame:
    """Return the view `entity_risk`; the age of a detection is measured from the snapshot's `now`.

    Args:
        rows: Reads the tables of the snapshot.
        snapshot: Its versions are named in errors.

    Raises:
        LakeUnreadable: A file of a table is missing or damaged.
    """
    now = snapshot.now
    held = (
        _confirmed(rows, snapshot)
        .filter(pl.col("entity_type").is_in(["username", "src_ip"]))
        .join(last_labels(rows), on="detection_id", how="left")
    )
    counted = held.filter(~pl.col("label").is_in(HARMLESS).fill_null(value=False))
    groups = counted.partition_by(ENTITY_RISK.key) if now else []
    risks = [_risk(of_entity.to_dicts(), now=now) for of_entity in groups if now]
    return pl.LazyFrame(risks, schema=declared_schema(ENTITY_RISK))


def share(severity: str, *, age: timedelta) -> float:
    """Return how likely a detection matters, 0 to 1: the weight of its severity, halved for each `HALF_LIFE` of age."""
    half_lives = max(age, timedelta(0)) / HALF_LIFE
    return float(WEIGHTS[severity] * 0.5**half_lives)


def score_of(shares: Iterable[float]) -> int:
    """Return how likely at least one of the detections matters, as a number from 0 to 100."""
    return round(100 * (1 - prod(1 - each for each in shares)))


def _risk(detections: list[dict[str, Any]], *, now: datetime) -> dict[str, Any]:
    """Return the row of an entity with its detections."""
    shares = {row["detection_id"]: share(row["severity"], age=now - row["last_at"]) for row in detections}
    score = score_of(shares.values())
    largest = sorted(detections, key=lambda row: (-shares[row["detection_id"]], row["detection_id"]))[:TOP_REASONS]
    return {
        "entity_type": detections[0]["entity_type"],
        "entity": detections[0]["entity"],
        "score": score,
        "level": next(level for least, level in LEVELS if score >= least),
        "detections": len(detections),
        "open": sum(row["label"] is None for row in detections),
        "last_at": max(row["last_at"] for row in detections),
        "reasons": json.dumps([_reason(row) for row in largest], ensure_ascii=False),
    }


def _reason(detection: dict[str, Any]) -> str:
    """Return a detection in words, such as "brute_force_ip (high), 2026-03-01 12:00 UTC: failures 35, users 4"."""
    counted = ", ".join(f"{name} {count}" for name, count in json.loads(detection["measures"]).items())
    labeled = f", labeled {detection['label']}" if detection["label"] else ""
    return (
        f"{detection['rule']} ({detection['severity']}{labeled}), {detection['last_at']:%Y-%m-%d %H:%M} UTC: {counted}"
    )


def _confirmed(rows: Rows, snapshot: Snapshot) -> pl.DataFrame:
    with reading(DETECTIONS, version=snapshot.versions.get(DETECTIONS.full_name)):
        return rows(DETECTIONS).filter(pl.col("status") == CONFIRMED).collect()


def last_labels(rows: Rows) -> pl.DataFrame:
    """Return the last label of each labeled detection: `detection_id`, `label`."""
    last = rows(LABELS).sort("labeled_at").group_by("detection_id", maintain_order=True).last()
    with reading(LABELS):
        return last.select("detection_id", "label").collect()


def _logins(detections: pl.DataFrame, rows: Rows, *, snapshot: Snapshot) -> pl.DataFrame:
    """Return for each detection that worked the successful logins: how many, the first, by whom and where to find them.

    A detection about an address counts every login from it. One about anything else counts the logins from the
    addresses of its evidence; one about a user only those of the user.
    """
    listed = pl.col("evidence_ips").fill_null("[]").str.json_decode(pl.List(pl.String))
    is_about_ip = pl.col("entity_type") == "src_ip"
    sources = detections.select(
        "detection_id",
        "first_at",
        until=pl.col("last_at") + AFTER,
        src_ip=pl.when(is_about_ip).then(pl.concat_list("entity")).otherwise(listed),
        user=pl.when(pl.col("entity_type") == "username").then("entity"),
    ).explode("src_ip")
    successes = rows(EVENTS).filter(
        (pl.col("verdict") == "accepted") & (pl.col("action") == "login") & (pl.col("outcome") == "success")
    )
    is_of_attack = pl.col("event_at").is_between("first_at", "until") & (
        pl.col("user").is_null() | (pl.col("user") == pl.col("username"))
    )
    position = pl.concat_str(pl.lit('["'), "topic", pl.lit('",'), "partition", pl.lit(","), "offset", pl.lit("]"))
    found = (
        successes.select("event_at", "times", "username", "src_ip", "topic", "partition", "offset")
        .join(sources.lazy(), on="src_ip", how="inner")
        .filter(is_of_attack)
        .sort("event_at", "topic", "partition", "offset")
        .group_by("detection_id")
        .agg(
            successes=pl.col("times").sum(),
            first_success_at=pl.col("event_at").min(),
            success_users=pl.col("username").drop_nulls().unique(maintain_order=True).head(LISTED),
            success_evidence=position.head(LISTED),
        )
        .with_columns(
            success_users=pl.col("success_users").map_elements(_json_list, return_dtype=pl.String),
            success_evidence=pl.concat_str(pl.lit("["), pl.col("success_evidence").list.join(","), pl.lit("]")),
        )
    )
    with reading(EVENTS, version=snapshot.versions.get(EVENTS.full_name)):
        return found.collect()


def _json_list(values: pl.Series) -> str:
    return json.dumps(values.to_list(), ensure_ascii=False)
