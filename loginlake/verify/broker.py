"""Kafka against bronze: every record up to bronze's last is in bronze, and what is not there is explained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from socket import create_connection

import polars as pl
from deltalake import DeltaTable

from lakehouse import kafka
from lakehouse.errors import BrokerFailed
from lakehouse.kafka import Bounds
from lakehouse.offsets import Offsets, Partition
from lakehouse.settings import Settings
from lakehouse.tables.bronze import RAW_LOGS, TOPIC_ID
from loginlake.verify.ranges import Range, ranges_of
from loginlake.verify.readback import records_within
from loginlake.verify.report import Check, check, skipped
from loginlake.verify.scope import POSITION_SCHEMA, Scope
from serving.integrity import reading

CLAIM = "every Kafka record up to bronze's last is in bronze"
SAME_TOPIC = "Kafka's topic is the one that bronze was read from"
MISSING = (
    "missing: the record is in Kafka and not in bronze: read the topic into a new lake, or restore bronze. "
    "expired: Kafka no longer has it: where the loss is known, --accept the range"
)
OTHER_TOPIC = "Point LOGINLAKE_KAFKA at the broker of this lake; a recreated topic needs a new lake (LOGINLAKE_ROOT)"
CONNECT_SECONDS = 2.0
START_BROKER = "Name a broker with --kafka to check it, or hold bronze against a --ledger"


@dataclass(frozen=True)
class Topic:
    """A topic as the broker has it now: its id, and the bounds of its partitions."""

    id: str
    bounds: Mapping[Partition, Bounds]


@dataclass(frozen=True)
class Gap:
    """Offsets that bronze lacks, and where the broker's partition begins and ends."""

    absent: Range
    bounds: Bounds

    @property
    def expired(self) -> Range | None:
        """The part below the beginning of the partition."""
        last = min(self.absent.last, self.bounds.beginning - 1)
        return self.absent._replace(last=last) if last >= self.absent.first else None

    @property
    def readable(self) -> Range | None:
        """The part that can be read again."""
        first, last = max(self.absent.first, self.bounds.beginning), min(self.absent.last, self.bounds.end - 1)
        return self.absent._replace(first=first, last=last) if first <= last else None


def topics_of(settings: Settings, names: Iterable[str]) -> dict[str, Topic] | None:
    """The topics of these names that the broker has; None where no broker answers."""
    if not listens(settings.kafka):
        return None
    try:
        return {
            name: Topic(kafka.topic_id(each), bounds)
            for name in sorted(names)
            if (bounds := kafka.partition_bounds(each := settings.model_copy(update={"topic": name})))
        }
    # A broker that hangs answers nothing.
    except BrokerFailed:
        return None


def bounds_of(topics: Mapping[str, Topic]) -> dict[Partition, Bounds]:
    """The bounds of every partition of the topics."""
    return {at: bound for topic in topics.values() for at, bound in topic.bounds.items()}


def listens(servers: str) -> bool:
    """True where something listens at one of the servers: Kafka's client takes ten seconds to say that none does."""
    for server in servers.split(","):
        host, _, port = server.rpartition("://")[2].rpartition(":")
        with suppress(OSError, ValueError), create_connection((host.strip("[] "), int(port)), CONNECT_SECONDS):
            return True
    return False


def broker_checks(
    settings: Settings, scope: Scope, *, topics: Mapping[str, Topic] | None, read: Offsets, accepted: Sequence[Range]
) -> Iterator[Check]:
    """What the broker says of bronze.

    Args:
        settings: Name the broker.
        scope: The lake.
        topics: As `topics_of` gave them.
        read: Next offsets that bronze says it has read up to, where it says so.
        accepted: Ranges whose loss is known.
    """
    if topics is None:
        yield skipped(CLAIM, f"no broker answers at {settings.kafka}", hint=START_BROKER)
        return
    identity = identity_check(noted_ids(settings), topics)
    yield identity
    if identity.holds:
        yield records_check(settings, scope.bronze, topics=topics, read=read, accepted=accepted)


def noted_ids(settings: Settings) -> dict[str, str]:
    """The id of each topic that bronze was read from, by name."""
    with reading(RAW_LOGS):
        properties = DeltaTable(settings.table_uri(RAW_LOGS.layer, RAW_LOGS.name)).metadata().configuration
    return {
        name.removeprefix(TOPIC_ID): value for name, value in properties.items() if value and name.startswith(TOPIC_ID)
    }


def identity_check(noted: Mapping[str, str], topics: Mapping[str, Topic]) -> Check:
    """No topic was recreated since bronze read it."""
    faults = []
    for name, noted_id in sorted(noted.items()):
        if name not in topics:
            faults.append(f"the broker has no topic {name}, bronze was read from the one with id {noted_id}")
        elif topics[name].id != noted_id:
            faults.append(f"topic {name} has id {topics[name].id}, bronze was read from the one with id {noted_id}")
    return check(SAME_TOPIC, faults, checked=len(noted), hint=OTHER_TOPIC)


def records_check(
    settings: Settings,
    bronze: pl.DataFrame,
    *,
    topics: Mapping[str, Topic],
    read: Offsets,
    accepted: Sequence[Range],
) -> Check:
    """Every offset from bronze's first to the last that it has read is in bronze, or the broker has no record there."""
    bounds = bounds_of(topics)
    gaps = list(gaps_of(bronze, bounds, read=read))
    readable = [part for gap in gaps if (part := gap.readable)]
    expired = [part for gap in gaps if (part := gap.expired)]
    faults: dict[str, list[Range]] = {
        "missing": [],
        "expired": _unaccepted(expired, accepted),
        "in bronze, but past the end of Kafka": list(ranges_past_end(last_offsets(bronze), bounds)),
    }
    if not faults["in bronze, but past the end of Kafka"]:
        lasts = {at: following - 1 for at, following in read.items()}
        faults["noted as read, but past the end of Kafka"] = list(ranges_past_end(lasts, bounds))
    notes = []
    try:
        found = records_within(settings, readable)
    except BrokerFailed as error:
        if not any(faults.values()):
            return skipped(CLAIM, error.what, hint=error.hint)
        notes.append(error.what)
    else:
        faults["missing"] = _unaccepted(ranges_of(found), accepted)
        notes += _notes(sum(part.offsets for part in readable) - found.height, bronze, bounds=bounds)
    return check(
        CLAIM,
        [f"{span} {fault}" for fault, spans in faults.items() for span in spans],
        checked=bronze.height + sum(part.offsets for part in (*readable, *expired)),
        count=sum(span.offsets for spans in faults.values() for span in spans),
        hint=MISSING,
        notes=notes,
    )


def gaps_of(bronze: pl.DataFrame, bounds: Mapping[Partition, Bounds], *, read: Offsets) -> Iterator[Gap]:
    """The offsets that bronze lacks in each partition, from where the broker begins, or bronze, up to the last read."""
    at = ["topic", "partition"]
    nexts = pl.DataFrame([(*place, end) for place, end in read.items()], schema=POSITION_SCHEMA, orient="row")
    offsets = pl.concat([bronze, nexts]).unique().sort(*at, "offset")
    steps = offsets.with_columns(before=pl.col("offset").shift(1).over(at))
    beginnings = pl.DataFrame(
        [(*place, bound.beginning) for place, bound in bounds.items()],
        schema={"topic": pl.String, "partition": pl.Int32, "beginning": pl.Int64},
        orient="row",
    )
    # What lies below both was gone before bronze came.
    known = steps.join(beginnings, on=at).with_columns(before=pl.col("before").fill_null(pl.col("beginning") - 1))
    holes = known.filter(pl.col("offset") - pl.col("before") > 1).sort(*at, "offset")
    for topic, partition, offset, before, _ in holes.iter_rows():
        yield Gap(Range(topic, partition, before + 1, offset - 1), bounds[topic, partition])


def last_offsets(bronze: pl.DataFrame) -> dict[Partition, int]:
    """The last offset of each partition that bronze has rows of."""
    lasts = bronze.group_by("topic", "partition").agg(pl.col("offset").max())
    return {(topic, partition): last for topic, partition, last in lasts.iter_rows()}


def ranges_past_end(lasts: Offsets, bounds: Mapping[Partition, Bounds]) -> Iterator[Range]:
    """What bronze has read and the broker, which ends before it, has not: it has lost it, or is another one.

    Args:
        lasts: The last offset of each partition.
        bounds: Those of the broker.
    """
    for at, last in sorted(lasts.items()):
        end = bounds[at].end if at in bounds else 0
        if last >= end:
            yield Range(*at, end, last)


def _unaccepted(spans: Iterable[Range], accepted: Sequence[Range]) -> list[Range]:
    return [part for span in spans for part in span.without(accepted)]


def _notes(without_record: int, bronze: pl.DataFrame, *, bounds: Mapping[Partition, Bounds]) -> Iterator[str]:
    if without_record:
        yield f"{without_record:,} offsets without a record: markers of transactions and what they aborted"
    firsts = bronze.group_by("topic", "partition").agg(pl.col("offset").min()).sort("topic", "partition")
    for topic, partition, first in firsts.iter_rows():
        bound = bounds.get((topic, partition))
        if first > 0 and bound is not None and bound.beginning > 0:
            yield f"{topic}:{partition} begins at {first} in bronze and at {bound.beginning} in Kafka"
