"""`loginlake verify`: the law of the lake, checked from the outside, without Spark.

Kafka offsets = bronze positions = silver positions, none missing, none twice; distinct (event day, event id) =
accepted; gold's attempts = the attempts in silver; all of them at what the last snapshot names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from lakehouse import kafka
from lakehouse.errors import BrokerFailed, SnapshotMissing
from lakehouse.kafka import Bounds
from lakehouse.offsets import Partition
from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import PAIR_ACTIVITY, STORED_METRICS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from serving.store import Store

POSITION = ["topic", "partition", "offset"]
# So many positions of a remainder are named; all are counted.
NAMED = 20


@dataclass(frozen=True)
class Check:
    """One sentence of the law and whether it holds.

    Attributes:
        claim: What must hold.
        holds: Whether it does; None where it could not be checked.
        faults: How many things contradict it.
        named: The first of them, for a person; or why it could not be checked.
    """

    claim: str
    holds: bool | None
    faults: int = 0
    named: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """What `verify` found.

    Attributes:
        checks: Each sentence of the law.
        layers: Records in Kafka (None without a broker), rows in bronze and silver.
        verdicts: Silver rows per verdict.
        unread: Kafka records that bronze, and bronze rows that silver has not read yet: work to do, no fault.
    """

    checks: list[Check]
    layers: dict[str, int | None]
    verdicts: dict[str, int]
    unread: dict[str, int]

    @property
    def ok(self) -> bool:
        """True where nothing contradicts the law; what could not be checked does not."""
        return all(check.holds is not False for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """The report for JSON."""
        return {"ok": self.ok, **asdict(self)}


def verify(settings: Settings, store: Store) -> Report:
    """Checks the law on the lake as it is now; jobs may write meanwhile.

    Raises:
        TableMissing: There is no lake.
        LakeUnreadable: A file of it can't be read.
    """
    # In this order: what silver has read bronze must hold, and what bronze has read the broker.
    events = newest_rows(store, EVENTS)
    silver = events.select(*POSITION).collect()
    bronze = newest_rows(store, RAW_LOGS).select(*POSITION).collect()
    bounds = broker_bounds(settings)
    refined = refined_positions(bronze, silver)
    return Report(
        checks=[
            kafka_check(settings, bronze, bounds),
            unique_check("bronze", bronze),
            unique_check("silver", silver),
            subset_check("bronze row that silver has read is in silver", refined, silver),
            subset_check("silver row is in bronze", silver, bronze),
            identity_check(events),
            *snapshot_checks(store),
        ],
        layers={
            "kafka": None if bounds is None else sum(bound.end - bound.beginning for bound in bounds.values()),
            "bronze": bronze.height,
            "silver": silver.height,
        },
        verdicts=dict(events.group_by("verdict").len().sort("verdict").collect().iter_rows()),
        unread={
            "kafka": sum(max(0, bound.end - next_offset(bronze, at)) for at, bound in (bounds or {}).items()),
            "bronze": bronze.height - refined.height,
        },
    )


def newest_rows(store: Store, table: Table) -> pl.LazyFrame:
    """The rows of a table as they are now, published or not."""
    return store.rows_at_version(table, store.newest_version(table))


def broker_bounds(settings: Settings) -> dict[Partition, Bounds] | None:
    """The broker's offsets, None where no broker answers."""
    try:
        return kafka.partition_bounds(settings)
    except BrokerFailed:
        return None


def refined_positions(bronze: pl.DataFrame, silver: pl.DataFrame) -> pl.DataFrame:
    """The bronze positions below silver's next offsets."""
    lasts = silver.group_by("topic", "partition").agg(last=pl.col("offset").max())
    return bronze.join(lasts, on=["topic", "partition"]).filter(pl.col("offset") <= pl.col("last")).drop("last")


def kafka_check(settings: Settings, bronze: pl.DataFrame, bounds: Mapping[Partition, Bounds] | None) -> Check:
    """Every offset between bronze's first and last is in bronze, or no record has it (an aborted transaction's).

    A gap below the broker's beginning can't be explained any more, and so contradicts the law.
    """
    claim = "every Kafka record up to bronze's last is in bronze"
    if bounds is None:
        return Check(claim, None, named=[f"no broker answers at {settings.kafka}"])
    faults, named = 0, []
    for at, bound in bounds.items():
        for first, next_one in gaps(bronze, at, beginning=bound.beginning):
            if first < bound.beginning or kafka.first_record(settings, at, start=first, end=next_one):
                faults += next_one - first
                named.append(f"{at[0]}:{at[1]}:{first}-{next_one - 1} missing")
        if next_offset(bronze, at) > bound.end:
            faults += 1
            named.append(f"{at[0]}:{at[1]} ends at {bound.end} in Kafka, at {next_offset(bronze, at)} in bronze")
    return Check(claim, faults == 0, faults, named[:NAMED])


def gaps(bronze: pl.DataFrame, at: Partition, *, beginning: int) -> Iterator[tuple[int, int]]:
    """Ranges `[first, next)` of a partition's offsets that bronze lacks, up to its last."""
    offsets = offsets_of(bronze, at).unique().sort()
    if offsets.is_empty():
        return
    first = offsets[0]
    if beginning < first:
        yield beginning, first
    steps = pl.DataFrame({"before": offsets, "after": offsets.shift(-1)})
    for before, after in steps.filter(pl.col("after") - pl.col("before") > 1).iter_rows():
        yield before + 1, after


def unique_check(layer: str, positions: pl.DataFrame) -> Check:
    """No position stands twice."""
    repeated = positions.group_by(POSITION).len().filter(pl.col("len") > 1).sort(POSITION)
    return Check(
        f"no position stands twice in {layer}", repeated.is_empty(), repeated.height, named_positions(repeated, "twice")
    )


def subset_check(claim: str, part: pl.DataFrame, whole: pl.DataFrame) -> Check:
    """Every position of the part is in the whole."""
    missing = part.join(whole, on=POSITION, how="anti").sort(POSITION)
    return Check(f"every {claim}", missing.is_empty(), missing.height, named_positions(missing, "missing"))


def identity_check(events: pl.LazyFrame) -> Check:
    """Every event id is accepted once in its event day."""
    accepted = events.filter(pl.col("verdict") == "accepted")
    repeated = accepted.group_by("event_on", "event_id").len().filter(pl.col("len") > 1)
    named = repeated.sort("event_on", "event_id").collect()
    return Check(
        "every event id is accepted once in its day",
        named.is_empty(),
        named.height,
        [f"{day} {event_id} accepted {times} times" for day, event_id, times in named.head(NAMED).iter_rows()],
    )


def snapshot_checks(store: Store) -> list[Check]:
    """Gold's attempts are those of silver, at the versions and offsets of the last snapshot."""
    try:
        snapshot = store.snapshot()
    except SnapshotMissing:
        return [Check("a snapshot is published", None, named=["none yet: `loginlake refresh` publishes one"])]
    ahead = [
        f"{table.full_name} has version {store.newest_version(table)}, the snapshot names {version}"
        for table in SNAPSHOT_TABLES
        if (version := snapshot.versions[table.full_name]) > store.newest_version(table)
    ]
    claim = f"snapshot {snapshot.id} names versions that are there"
    if ahead:
        return [Check(claim, False, len(ahead), ahead)]
    return [Check(claim, True), offsets_check(store, snapshot), *attempts_checks(store, snapshot)]


def offsets_check(store: Store, snapshot: Snapshot) -> Check:
    """The offsets that the snapshot names are those of its silver rows."""
    ends = store.rows(EVENTS, snapshot).group_by("topic", "partition").agg(pl.col("offset").max() + 1).collect()
    live = {(topic, partition): end for topic, partition, end in ends.iter_rows()}
    wrong = sorted(at for at in live.keys() | snapshot.offsets.keys() if live.get(at) != snapshot.offsets.get(at))
    named = [
        f"{topic}:{partition} {snapshot.offsets.get((topic, partition))} in the snapshot, "
        f"{live.get((topic, partition))} in silver"
        for topic, partition in wrong
    ]
    return Check(f"the offsets of snapshot {snapshot.id} are silver's", not wrong, len(wrong), named)


def attempts_checks(store: Store, snapshot: Snapshot) -> list[Check]:
    """The attempts of the base and of each stored metric are those of silver."""
    logins = pl.col("times").filter((pl.col("verdict") == "accepted") & (pl.col("action") == "login")).sum()
    expected: int = store.rows(EVENTS, snapshot).select(logins).collect().item()
    checks = []
    for table in (PAIR_ACTIVITY, *(metric.table for metric in STORED_METRICS)):
        found: int = store.rows(table, snapshot).select(pl.col("attempts").sum()).collect().item()
        named = [] if found == expected else [f"{found} in {table.full_name}, {expected} in silver"]
        claim = f"the attempts of {table.full_name} are silver's"
        checks.append(Check(claim, found == expected, abs(found - expected), named))
    return checks


def offsets_of(positions: pl.DataFrame, at: Partition) -> pl.Series:
    """The offsets of one partition."""
    topic, partition = at
    return positions.filter((pl.col("topic") == topic) & (pl.col("partition") == partition))["offset"]


def next_offset(positions: pl.DataFrame, at: Partition) -> int:
    """One past the largest offset of a partition, 0 where it has no row."""
    largest: Any = offsets_of(positions, at).max()
    return 0 if largest is None else int(largest) + 1


def named_positions(positions: pl.DataFrame, fault: str) -> list[str]:
    """The first positions as text."""
    first = positions.select(POSITION).head(NAMED)
    return [f"{topic}:{partition}:{offset} {fault}" for topic, partition, offset in first.iter_rows()]
