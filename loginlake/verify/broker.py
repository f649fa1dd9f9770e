"""Bronze against Kafka: every record up to bronze's last offset is in bronze, or its absence is explained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from lakehouse.errors import BrokerFailed
from lakehouse.kafka import Bounds
from lakehouse.progress import Offsets, Partition
from loginlake.verify.kafka_reader import Topic, bounds_of, find_records
from loginlake.verify.pinned import PinnedLake
from loginlake.verify.ranges import POSITION_SCHEMA, Range, ranges_of, without
from loginlake.verify.report import Check, check, skipped

RECORDS_CLAIM = "bronze has every Kafka record up to its last offset"
TOPIC_CLAIM = "Kafka's topics have the ids that bronze recorded"
RECORDS_HINT = (
    "missing: Kafka has the record and bronze does not; read the topic into a new lake, or restore bronze from a copy. "
    "expired: Kafka no longer has it; if the loss is known, accept the range with --accept"
)
TOPIC_HINT = "Point LOGINLAKE_KAFKA at the broker of this lake; a recreated topic needs a new lake (LOGINLAKE_ROOT)"
NO_BROKER_HINT = "Name a broker with --kafka to compare bronze with it, or pass a --ledger"
PAST_END = "in bronze, but past the end of Kafka"
RECORDED_PAST_END = "recorded as read, but past the end of Kafka"


@dataclass(frozen=True)
class Gap:
    """Offsets that bronze does not have, and the bounds of their partition in Kafka."""

    absent: Range
    bounds: Bounds

    @property
    def expired(self) -> Range | None:
        """The part below Kafka's first offset."""
        last = min(self.absent.last, self.bounds.beginning - 1)
        return self.absent._replace(last=last) if last >= self.absent.first else None

    @property
    def readable(self) -> Range | None:
        """The part that can be read from Kafka again."""
        first, last = max(self.absent.first, self.bounds.beginning), min(self.absent.last, self.bounds.end - 1)
        return self.absent._replace(first=first, last=last) if first <= last else None


def broker_checks(lake: PinnedLake) -> Iterator[Check]:
    """Compare bronze with the broker; without a broker the claim is skipped."""
    if lake.topics is None:
        yield skipped(RECORDS_CLAIM, f"no broker answers at {lake.settings.kafka}", hint=NO_BROKER_HINT)
        return
    identity = topic_id_check(lake.topic_ids, lake.topics)
    yield identity
    if identity.passed:
        yield records_check(lake, lake.topics)


def topic_id_check(recorded: Mapping[str, str], topics: Mapping[str, Topic]) -> Check:
    """Check that no topic was recreated since bronze read it."""
    faults = []
    for name, recorded_id in sorted(recorded.items()):
        if name not in topics:
            faults.append(f"the broker has no topic {name}; bronze recorded the id {recorded_id}")
        elif topics[name].id != recorded_id:
            faults.append(f"topic {name} has the id {topics[name].id}; bronze recorded the id {recorded_id}")
    return check(TOPIC_CLAIM, faults, checked=len(recorded), hint=TOPIC_HINT)


def records_check(lake: PinnedLake, topics: Mapping[str, Topic]) -> Check:
    """Check that each offset, from bronze's first to the last it has read, is in bronze or has no record in Kafka."""
    bronze, bounds, accepted = lake.bronze_positions, bounds_of(topics), lake.options.accepted
    read = lake.bronze_progress.offsets if lake.bronze_progress else {}
    gaps = list(gaps_of(bronze, bounds, read=read))
    readable = [part for gap in gaps if (part := gap.readable)]
    expired = [part for gap in gaps if (part := gap.expired)]
    faults = {"missing": [], "expired": without(expired, accepted), **_past_end(bronze, bounds, read=read)}
    notes = []
    try:
        found = find_records(lake.settings, readable)
    except BrokerFailed as error:
        if not any(faults.values()):
            return skipped(RECORDS_CLAIM, error.what, hint=error.hint)
        notes.append(error.what)
    else:
        faults["missing"] = without(ranges_of(found), accepted)
        notes += _notes(sum(part.offsets for part in readable) - found.height, bronze, bounds=bounds)
    return check(
        RECORDS_CLAIM,
        [f"{each} {fault}" for fault, ranges in faults.items() for each in ranges],
        checked=bronze.height + sum(part.offsets for part in (*readable, *expired)),
        count=sum(each.offsets for ranges in faults.values() for each in ranges),
        hint=RECORDS_HINT,
        notes=notes,
    )


def gaps_of(bronze: pl.DataFrame, bounds: Mapping[Partition, Bounds], *, read: Offsets) -> Iterator[Gap]:
    """Yield the offsets that bronze does not have.

    Args:
        bronze: Positions of bronze.
        bounds: The broker's partitions. A gap begins at Kafka's or bronze's first offset, whichever is lower.
        read: Next offsets that bronze recorded as read, if it did. Gaps end there or at bronze's last row.
    """
    at = ["topic", "partition"]
    nexts = pl.DataFrame([(*place, end) for place, end in read.items()], schema=POSITION_SCHEMA, orient="row")
    offsets = pl.concat([bronze, nexts]).unique().sort(*at, "offset")
    steps = offsets.with_columns(before=pl.col("offset").shift(1).over(at))
    beginnings = pl.DataFrame(
        [(*place, bound.beginning) for place, bound in bounds.items()],
        schema={"topic": pl.String, "partition": pl.Int32, "beginning": pl.Int64},
        orient="row",
    )
    # Offsets below both first offsets had been dropped by Kafka before bronze read the partition.
    known = steps.join(beginnings, on=at).with_columns(before=pl.col("before").fill_null(pl.col("beginning") - 1))
    holes = known.filter(pl.col("offset") - pl.col("before") > 1).sort(*at, "offset")
    for topic, partition, offset, before, _ in holes.iter_rows():
        yield Gap(Range(topic, partition, before + 1, offset - 1), bounds[topic, partition])


def _past_end(bronze: pl.DataFrame, bounds: Mapping[Partition, Bounds], *, read: Offsets) -> dict[str, list[Range]]:
    """Return what bronze has, or recorded as read, beyond the end of Kafka: the broker lost it, or is another one."""
    lasts = bronze.group_by("topic", "partition").agg(pl.col("offset").max())
    in_bronze = list(
        ranges_past_end({(topic, partition): last for topic, partition, last in lasts.iter_rows()}, bounds)
    )
    recorded = [] if in_bronze else list(ranges_past_end({at: end - 1 for at, end in read.items()}, bounds))
    return {PAST_END: in_bronze, RECORDED_PAST_END: recorded}


def ranges_past_end(lasts: Offsets, bounds: Mapping[Partition, Bounds]) -> Iterator[Range]:
    """Yield the offsets from Kafka's end up to the last offset of each partition."""
    for at, last in sorted(lasts.items()):
        end = bounds[at].end if at in bounds else 0
        if last >= end:
            yield Range(*at, end, last)


def _notes(without_record: int, bronze: pl.DataFrame, *, bounds: Mapping[Partition, Bounds]) -> Iterator[str]:
    if without_record:
        yield f"{without_record:,} offsets have no record: transaction markers and aborted transactions"
    firsts = bronze.group_by("topic", "partition").agg(pl.col("offset").min()).sort("topic", "partition")
    for topic, partition, first in firsts.iter_rows():
        bound = bounds.get((topic, partition))
        if first > 0 and bound is not None and bound.beginning > 0:
            yield f"{topic}:{partition} begins at offset {first} in bronze and at {bound.beginning} in Kafka"
