"""The gold tables from silver: all of each, or only what changed rows touch."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.changes import ChangeSummary, is_counted, is_suspect
from gold.transforms.detections import REACH_DAYS, BruteForceIp, brute_force_ip, suspects
from gold.transforms.metrics import metric_rows, pair_activity_hourly
from lakehouse.lake import Lake, matching, struct_type, without
from lakehouse.session import run_concurrently
from lakehouse.tables.gold import DETECTIONS, PAIR_ACTIVITY, STORED_METRICS
from lakehouse.tables.model import Metric

# A commit that replaces days names them in its condition; more than so many are split.
DAYS_PER_COMMIT = 100
# What a rule is judged for.
JUDGED = ["entity", "fired_on"]


def rebuild(lake: Lake, events: DataFrame, *, rule: BruteForceIp) -> None:
    """Writes every gold table anew from all of silver, each in one commit."""
    run_concurrently(
        lake.spark, lambda: rebuild_activity(lake, events), lambda: lake.overwrite(DETECTIONS, detections(events, rule))
    )


def rebuild_activity(lake: Lake, events: DataFrame) -> None:
    """The base from silver, then the stored metrics from the base."""
    lake.overwrite(PAIR_ACTIVITY, pair_activity_hourly(events))
    base = lake.read(PAIR_ACTIVITY)
    run_concurrently(
        lake.spark, *(partial(lake.overwrite, metric.table, stored_rows(metric, base)) for metric in STORED_METRICS)
    )


def recompute(lake: Lake, changed: DataFrame, *, span: ChangeSummary, events: DataFrame, rule: BruteForceIp) -> None:
    """Computes anew what the changed rows touch, and only that; the same result when run twice."""
    accepted = changed.where(F.col("verdict") == "accepted")
    run_concurrently(
        lake.spark,
        lambda: recompute_activity(lake, touched_pairs(accepted), events=events, days=span.counted_on),
        lambda: recompute_detections(
            lake, touched_addresses(accepted), events=events, days=reached(span.suspected_on), rule=rule
        ),
    )


def touched_pairs(accepted: DataFrame) -> DataFrame:
    """Keys of the base that accepted rows fall into."""
    hours = accepted.where(is_counted()).withColumn("window_at", F.date_trunc("hour", "event_at"))
    return hours.select(*PAIR_ACTIVITY.key)


def touched_addresses(accepted: DataFrame) -> DataFrame:
    """Addresses and days for which the rule may judge otherwise: failures reach a day back and a day forward."""
    reach = F.sequence(F.date_sub("event_on", REACH_DAYS), F.date_add("event_on", REACH_DAYS))
    return accepted.where(is_suspect()).select(F.col("src_ip").alias("entity"), F.explode(reach).alias("fired_on"))


def recompute_activity(lake: Lake, pairs: DataFrame, *, events: DataFrame, days: list[date]) -> None:
    """The base for the touched keys, and the stored metrics of their days from all rows that the base has of them.

    Each table is written anew for these days: a MERGE by key would read and write the same files, since each holds
    many keys, and plan for longer.
    """
    for some in commits_of(days):
        hourly = events.where(F.col("event_on").isin(some)).withColumn("window_at", F.date_trunc("hour", "event_at"))
        recomputed = pair_activity_hourly(matching(hourly, pairs, key=PAIR_ACTIVITY.key).drop("window_at"))
        known = lake.read(PAIR_ACTIVITY).where(F.col("window_on").isin(some))
        # Not kept by persist(): Spark would plan it anew once the base, which it reads, is written.
        base = without(known, pairs, key=PAIR_ACTIVITY.key).unionByName(recomputed).localCheckpoint()
        run_concurrently(
            lake.spark,
            partial(lake.replace_days, PAIR_ACTIVITY, base, days=some),
            *(partial(replace_metric, lake, metric, base=base, days=some) for metric in STORED_METRICS),
        )


def replace_metric(lake: Lake, metric: Metric, *, base: DataFrame, days: list[date]) -> None:
    """The rows of a stored metric for these days, from all that the base has of them."""
    lake.replace_days(metric.table, stored_rows(metric, base), days=days)


def recompute_detections(
    lake: Lake, addresses: DataFrame, *, events: DataFrame, days: list[date], rule: BruteForceIp
) -> None:
    """The detections of the touched addresses and days."""
    for some in commits_of(days):
        source = events.where(F.col("event_on").isin(reached(some)))
        suspected = matching(source, addresses.select(F.col("entity").alias("src_ip")), key=["src_ip"])
        found = matching(detections(suspected, rule), addresses, key=JUDGED).where(F.col("fired_on").isin(some))
        found = found.localCheckpoint()
        known = lake.read(DETECTIONS).where(F.col("fired_on").isin(some))
        if not (found.isEmpty() and matching(known, addresses, key=JUDGED).isEmpty()):
            lake.replace_days(DETECTIONS, without(known, addresses, key=JUDGED).unionByName(found), days=some)


def stored_rows(metric: Metric, base: DataFrame) -> DataFrame:
    """The rows of a metric at the window that it is stored for."""
    rows: DataFrame = metric_rows(metric, base, every=metric.stored or "day")
    return rows


def detections(events: DataFrame, rule: BruteForceIp) -> DataFrame:
    """All that the rule finds in the rows of silver."""
    failures: DataFrame = suspects(events, rule)
    return failures.groupBy("src_ip").applyInArrow(brute_force_ip(rule), struct_type(DETECTIONS))


def reached(days: list[date]) -> list[date]:
    """The days for which a rule may judge otherwise by the events of these, which are those it looks at for them."""
    return sorted({day + timedelta(days=near) for day in days for near in range(-REACH_DAYS, REACH_DAYS + 1)})


def commits_of(days: list[date]) -> Iterator[list[date]]:
    """The days in order, at most as many together as the condition of one commit names."""
    ordered = sorted(days)
    for first in range(0, len(ordered), DAYS_PER_COMMIT):
        yield ordered[first : first + DAYS_PER_COMMIT]
