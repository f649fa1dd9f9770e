"""The gold job: what the new silver rows touch is computed anew, then all tables are published as one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import NamedTuple

import structlog
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.losses import lost_tables
from gold.restate import restate_all, restate_touched
from gold.transforms.detections import REACH_DAYS, BruteForceIp, brute_force_ip, load_rule, suspects
from gold.transforms.metrics import COUNTED_ACTIONS, metric_rows, pair_activity_hourly
from lakehouse.conf import conf_folder
from lakehouse.locks import writer_lock
from lakehouse.progress import read_progress
from lakehouse.session import at_once
from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot, next_instant, snapshot_from_metadata, snapshot_from_row
from lakehouse.spark import Lake, matching, struct_type, without
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.gold import DETECTIONS, PAIR_ACTIVITY, SNAPSHOTS, STORED_METRICS
from lakehouse.tables.model import Metric
from lakehouse.tables.silver import EVENTS

log = structlog.get_logger()

# A commit that replaces days names them in its condition; more than so many are split.
DAYS_PER_COMMIT = 100
# What a rule is judged for.
JUDGED = ["entity", "fired_on"]


def publish(
    lake: Lake, settings: Settings, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Snapshot | None:
    """Brings gold up to silver and publishes the next snapshot.

    Returns:
        The new snapshot; None where nothing has changed since the last one, and so nothing was written.

    Raises:
        LockHeld: Another job writes silver or gold.
    """
    with writer_lock(lake.spark, settings, "refresh"):
        return publish_snapshot(lake, settings, clock=clock)


def publish_snapshot(lake: Lake, settings: Settings, *, clock: Callable[[], datetime]) -> Snapshot | None:
    """What `publish` does, for a caller that holds the lock of refresh."""
    last = opened_gold(lake)
    silver_version = lake.version(EVENTS)
    changed = None if is_rewritten(lake, last) else changed_events(lake, last, silver_version)
    if changed is None:
        return publish_rebuilt(lake, settings, clock=clock)
    try:
        span = span_of(changed)
        if silver_version > covered_version(last):
            rule = load_rule(conf_folder(settings))
            recompute(lake, changed, span, lake.read(EVENTS, version=silver_version), rule=rule)
        if last is not None:
            restate_touched(lake, last, changed, since=span.first_event_at, days=span.counted_on)
        return publish_versions(lake, last, span, clock=clock)
    finally:
        changed.unpersist()


def publish_rebuilt(lake: Lake, settings: Settings, *, clock: Callable[[], datetime]) -> Snapshot | None:
    """Writes all of gold anew and publishes the next snapshot, for a caller that holds the lock of refresh."""
    last = opened_gold(lake)
    # Told before they are written anew: what was published of them can't be read any more.
    lost = [] if last is None else lost_tables(lake, last)
    events = lake.read(EVENTS, version=lake.version(EVENTS))
    rebuild(lake, events, load_rule(conf_folder(settings)))
    if last is not None:
        restate_all(lake, last, events, lost=lost)
    return publish_versions(lake, last, span_of(events), clock=clock)


def publish_versions(
    lake: Lake, last: Snapshot | None, span: Span, *, clock: Callable[[], datetime]
) -> Snapshot | None:
    """Publishes the tables as they are now; None where they are those of the last snapshot."""
    snapshot = next_snapshot(lake, last, span, at=next_instant(last, clock=clock()))
    if not snapshot.offsets or (last is not None and snapshot.versions == last.versions):
        return None
    # One partition: Spark would write a file without rows for each other one, which no version names.
    row = lake.spark.createDataFrame([snapshot.row()], struct_type(SNAPSHOTS)).coalesce(1)
    lake.append(SNAPSHOTS, row, user_metadata=snapshot.user_metadata())
    log.info("snapshot_published", snapshot=snapshot.id, silver=snapshot.versions[EVENTS.full_name])
    return snapshot


def opened_gold(lake: Lake) -> Snapshot | None:
    """The newest published snapshot, None before the first; with all tables there that the next one names."""
    at_once(lake.spark, *(partial(lake.ensure, table) for table in (*SNAPSHOT_TABLES, SNAPSHOTS)))
    return last_snapshot(lake)


def is_rewritten(lake: Lake, last: Snapshot | None) -> bool:
    """True where silver was written anew since the snapshot, or gold by a rebuild that ended before it published.

    The change feed of such a silver holds every row twice, and such a gold may be half of one kind, half of another.
    """
    return last is not None and any(
        lake.was_overwritten(table, after=last.versions.get(table.full_name, 0)) for table in SNAPSHOT_TABLES
    )


def last_snapshot(lake: Lake) -> Snapshot | None:
    """The newest published snapshot, None before the first."""
    noted = snapshot_from_metadata(lake.user_metadata(SNAPSHOTS))
    if noted is not None:
        return noted
    rows = lake.read(SNAPSHOTS).orderBy(F.desc("id")).limit(1).toArrow().to_pylist()
    return snapshot_from_row(rows[0]) if rows else None


def covered_version(snapshot: Snapshot | None) -> int:
    """The silver version that gold covers; -1 before the first snapshot."""
    return -1 if snapshot is None else snapshot.versions[EVENTS.full_name]


def changed_events(lake: Lake, last: Snapshot | None, silver_version: int) -> DataFrame | None:
    """Silver's rows that came, went or changed since the snapshot; None where only a rebuild can tell."""
    if last is None:
        return None
    lost = lost_tables(lake, last)
    if lost:
        log.warning("commits_lost", tables=lost, snapshot=last.id, mend="gold is computed anew from silver")
        return None
    covered = covered_version(last)
    if covered == silver_version:
        return lake.read(EVENTS, version=silver_version).limit(0)
    try:
        # Kept, since it is read more than once; and planned by that, which is when Delta refuses it.
        return lake.changes(EVENTS, after=covered, until=silver_version).persist()
    except AnalysisException as error:
        log.warning("change_feed_refused", condition=error.getCondition(), after=covered)
        return None


class Span(NamedTuple):
    """What silver rows span in time.

    Attributes:
        first_event_at: The least event time of an accepted row.
        last_event_at: The largest one.
        last_append_at: The largest append time of any row.
        counted_on: The event days of the accepted rows that the metrics count.
        suspected_on: The event days of the accepted rows that a rule looks at.
    """

    first_event_at: datetime | None
    last_event_at: datetime | None
    last_append_at: datetime | None
    counted_on: list[date]
    suspected_on: list[date]


def span_of(events: DataFrame) -> Span:
    """The span of silver rows, in one pass."""
    is_accepted = F.col("verdict") == "accepted"
    event_at = F.when(is_accepted, F.col("event_at"))
    ends = {
        "first_event_at": F.min(event_at),
        "last_event_at": F.max(event_at),
        "last_append_at": F.max("appended_at"),
        "counted_on": F.collect_set(F.when(is_accepted & is_counted(), F.col("event_on"))),
        "suspected_on": F.collect_set(F.when(is_accepted & is_suspect(), F.col("event_on"))),
    }
    (span,) = events.agg(*(end.alias(name) for name, end in ends.items())).toArrow().to_pylist()
    return Span(**span)


def is_counted() -> Column:
    """True for events that the metrics count."""
    return F.col("action").isin(*COUNTED_ACTIONS)


def is_suspect() -> Column:
    """True for events that may make a rule judge otherwise."""
    return (F.col("outcome") == "failure") & F.col("src_ip").isNotNull()


def next_snapshot(lake: Lake, last: Snapshot | None, span: Span, *, at: datetime) -> Snapshot:
    """The snapshot of all tables as they are now."""
    covered = read_progress(lake)
    return Snapshot(
        id=last.id + 1 if last else 1,
        at=at,
        versions={table.full_name: lake.version(table) for table in SNAPSHOT_TABLES},
        offsets=covered.offsets,
        last_event_at=_later(last.last_event_at if last else None, span.last_event_at),
        last_append_at=_later(last.last_append_at if last else None, span.last_append_at),
        # A commit of silver that read nothing new, such as that of a redrive, does not name them.
        enrichment=covered.enrichment or (last.enrichment if last else {}),
    )


def rebuild(lake: Lake, events: DataFrame, rule: BruteForceIp) -> None:
    """Writes every gold table anew from all of silver, each in one commit."""
    at_once(
        lake.spark, lambda: rebuild_activity(lake, events), lambda: lake.overwrite(DETECTIONS, detections(events, rule))
    )


def rebuild_activity(lake: Lake, events: DataFrame) -> None:
    """The base from silver, then the stored metrics from the base."""
    lake.overwrite(PAIR_ACTIVITY, pair_activity_hourly(events))
    base = lake.read(PAIR_ACTIVITY)
    at_once(
        lake.spark, *(partial(lake.overwrite, metric.table, stored_rows(metric, base)) for metric in STORED_METRICS)
    )


def recompute(lake: Lake, changed: DataFrame, span: Span, events: DataFrame, *, rule: BruteForceIp) -> None:
    """Computes anew what the changed rows touch, and only that; the same result when run twice."""
    accepted = changed.where(F.col("verdict") == "accepted")
    at_once(
        lake.spark,
        lambda: recompute_activity(lake, touched_pairs(accepted), events, days=span.counted_on),
        lambda: recompute_detections(
            lake, touched_addresses(accepted), events, days=reached(span.suspected_on), rule=rule
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


def recompute_activity(lake: Lake, pairs: DataFrame, events: DataFrame, *, days: list[date]) -> None:
    """The base for the touched keys, and the stored metrics of their days from all rows that the base has of them.

    Each table is written anew for these days: a MERGE by key would read and write the same files, since each holds
    many keys, and plan for longer.
    """
    for some in commits_of(days):
        hourly = events.where(F.col("event_on").isin(some)).withColumn("window_at", F.date_trunc("hour", "event_at"))
        recomputed = pair_activity_hourly(matching(hourly, pairs, PAIR_ACTIVITY.key).drop("window_at"))
        known = lake.read(PAIR_ACTIVITY).where(F.col("window_on").isin(some))
        # Not kept by persist(): Spark would plan it anew once the base, which it reads, is written.
        base = without(known, pairs, PAIR_ACTIVITY.key).unionByName(recomputed).localCheckpoint()
        at_once(
            lake.spark,
            partial(lake.replace_days, PAIR_ACTIVITY, base, days=some),
            *(partial(replace_metric, lake, metric, base, days=some) for metric in STORED_METRICS),
        )


def replace_metric(lake: Lake, metric: Metric, base: DataFrame, *, days: list[date]) -> None:
    """The rows of a stored metric for these days, from all that the base has of them."""
    lake.replace_days(metric.table, stored_rows(metric, base), days=days)


def recompute_detections(
    lake: Lake, addresses: DataFrame, events: DataFrame, *, days: list[date], rule: BruteForceIp
) -> None:
    """The detections of the touched addresses and days."""
    for some in commits_of(days):
        source = events.where(F.col("event_on").isin(reached(some)))
        suspected = matching(source, addresses.select(F.col("entity").alias("src_ip")), ["src_ip"])
        found = matching(detections(suspected, rule), addresses, JUDGED).where(F.col("fired_on").isin(some))
        found = found.localCheckpoint()
        known = lake.read(DETECTIONS).where(F.col("fired_on").isin(some))
        if not (found.isEmpty() and matching(known, addresses, JUDGED).isEmpty()):
            lake.replace_days(DETECTIONS, without(known, addresses, JUDGED).unionByName(found), days=some)


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


def _later(first: datetime | None, second: datetime | None) -> datetime | None:
    return max((instant for instant in (first, second) if instant is not None), default=None)
