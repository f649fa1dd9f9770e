"""Detection rules: each a pure function over the events of one entity, run by Spark per group.

A rule judges one day at a time, from the events of the day before, the day itself and the day after. So what it
finds for a day depends on these three days alone, whoever computes it and however much else is at hand: the state
of a rule reaches back at most to the start of the day before, and a detection ends at the latest with the day after.
What goes on for longer is a detection of its own on the third day and on each one after it; and where it began within
two windows of midnight on the second day, since it may then have begun before.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import narwhals.stable.v2 as nw
from msgspec import Meta

from lakehouse.tables.gold import DETECTIONS

if TYPE_CHECKING:
    import pyarrow as pa

# A detection of a day depends on the events of this many days before and after it.
REACH_DAYS = 1
DAY_SECONDS = 86_400
EVIDENCE_POSITIONS = 100
NEEDED = ("src_ip", "event_at", "event_on", "times", "username", "topic", "partition", "offset")


class BruteForceIp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Many failures from one address: a fast burst, or a steady stream.

    Attributes:
        version: Grows when a threshold changes.
        capacity: Failures that the bucket holds; one more overflows it.
        leak_seconds: The bucket drains one failure per so many seconds, and a full one within a day.
        failures: Failures within the window that count as an attack, too.
        window_minutes: That window; hits less than it apart are one detection. At least the hour that a detection's
            id names, or two would have the same; at most the day that a rule looks back.
        severity: low, medium, high or critical.
        technique: MITRE ATT&CK technique.
    """

    version: Annotated[int, Meta(ge=1)]
    capacity: Annotated[int, Meta(ge=1)]
    leak_seconds: Annotated[float, Meta(gt=0)]
    failures: Annotated[int, Meta(ge=1)]
    window_minutes: Annotated[float, Meta(ge=60, le=1440)]
    severity: Literal["low", "medium", "high", "critical"]
    technique: str

    def __post_init__(self) -> None:
        """Refuses a bucket that remembers longer than the rule looks back."""
        if self.capacity * self.leak_seconds > DAY_SECONDS:
            raise ValueError("capacity times leak_seconds is more than a day")

    @property
    def window(self) -> timedelta:
        """The sliding window."""
        return timedelta(minutes=self.window_minutes)

    @property
    def fewest_failures(self) -> int:
        """An address with fewer failures can't trip the rule."""
        return min(self.capacity + 1, self.failures)


@dataclass(frozen=True)
class Failure:
    """A failed attempt; `times` of them where the source folds equal ones."""

    at: datetime
    times: int
    username: str | None
    position: tuple[str, int, int]


def suspects(events: Any, rule: BruteForceIp) -> Any:
    """The failures of addresses with enough of them to trip the rule, in the columns that it needs.

    Args:
        events: Rows of silver.events, any verdict, as a native frame of Spark or polars.
        rule: Its thresholds.

    Returns:
        A lazy frame of the same engine with the columns `NEEDED`.
    """
    failures = (
        nw.from_native(events)
        .lazy()
        .filter(
            nw.col("verdict") == "accepted",
            nw.col("action") == "login",
            nw.col("outcome") == "failure",
            ~nw.col("src_ip").is_null(),
        )
        .select(*NEEDED)
    )
    counts = failures.group_by("src_ip").agg(failures=nw.col("times").sum())
    many = counts.filter(nw.col("failures") >= rule.fewest_failures).select("src_ip")
    return failures.join(many, on="src_ip", how="semi").to_native()


def brute_force_ip(rule: BruteForceIp) -> Callable[[pa.Table], pa.Table]:
    """The rule as a function from the failures of one address, in any order, to its detections."""
    import pyarrow as pa

    def detect(failures: pa.Table) -> pa.Table:
        rows = failures.to_pylist()
        found = detections_of(rows[0]["src_ip"], _sorted_failures(rows), rule=rule) if rows else []
        return pa.Table.from_pylist(found, schema=DETECTIONS.arrow_schema())

    return detect


def detections_of(src_ip: str, failures: Sequence[Failure], *, rule: BruteForceIp) -> list[dict[str, Any]]:
    """All detections of one address, day by day, from its failures in order of time."""
    found = []
    for day in sorted({failure.at.date() for failure in failures}):
        near = [f for f in failures if abs((f.at.date() - day).days) <= REACH_DAYS]
        hits_of_day = (_hits_of_day(chain, day, rule=rule) for chain in _chains(near, rule))
        found += [_detection(src_ip, near, rule=rule, hits=hits) for hits in hits_of_day if hits]
    return found


def hits_of(failures: Sequence[Failure], rule: BruteForceIp) -> Iterator[Failure]:
    """The failures at which the rule fires: the bucket overflows, which empties it, or the window is full."""
    level, last = 0.0, None
    recent: deque[Failure] = deque()
    in_window = 0
    for failure in failures:
        drained = (failure.at - last).total_seconds() / rule.leak_seconds if last else 0.0
        level, last = max(0.0, level - drained) + failure.times, failure.at
        recent.append(failure)
        in_window += failure.times
        while recent[0].at <= failure.at - rule.window:
            in_window -= recent.popleft().times
        overflows = level > rule.capacity
        if overflows:
            level = 0.0
        if overflows or in_window >= rule.failures:
            yield failure


def detection_id(rule: str, entity: str, *, fired_at: datetime) -> str:
    """The hash of rule, entity and the hour in which the rule first fired."""
    hour = fired_at.replace(minute=0, second=0, microsecond=0).isoformat()
    return hashlib.sha256("\n".join((rule, entity, hour)).encode()).hexdigest()[:32]


def _chains(failures: Sequence[Failure], rule: BruteForceIp) -> list[list[Failure]]:
    """Hits less than a window apart, together."""
    chains: list[list[Failure]] = []
    for hit in hits_of(failures, rule):
        if chains and hit.at - chains[-1][-1].at < rule.window:
            chains[-1].append(hit)
        else:
            chains.append([hit])
    return chains


def _hits_of_day(chain: list[Failure], day: date, *, rule: BruteForceIp) -> list[Failure]:
    """The hits of a chain that are a detection of the day: all if it began then, none if it began the day before.

    If it may have begun before all that is looked at, those of the day itself: such a chain has a hit within a window
    from there, which is missed where it needs what lies before, and then another one within a second window.
    """
    began, looked_at_from = chain[0].at, datetime.combine(day - timedelta(days=REACH_DAYS), time(), UTC)
    if began.date() == day:
        return chain
    return [hit for hit in chain if hit.at.date() == day] if began < looked_at_from + 2 * rule.window else []


def _detection(src_ip: str, failures: Sequence[Failure], *, rule: BruteForceIp, hits: list[Failure]) -> dict[str, Any]:
    """The row of one chain of hits; its evidence begins a window before the first hit and ends with the last."""
    fired_at, last_at = hits[0].at, hits[-1].at
    evidence = [f for f in failures if fired_at - rule.window < f.at <= last_at]
    measures = {
        "failures": sum(f.times for f in evidence),
        "users": len({f.username for f in evidence}),
        "hits": len(hits),
    }
    return {
        "detection_id": detection_id("brute_force_ip", src_ip, fired_at=fired_at),
        "rule": "brute_force_ip",
        "rule_version": rule.version,
        "entity_type": "src_ip",
        "entity": src_ip,
        "fired_at": fired_at,
        "fired_on": fired_at.date(),
        "first_at": evidence[0].at,
        "last_at": last_at,
        "severity": rule.severity,
        "status": "confirmed",
        "measures": json.dumps(measures, sort_keys=True),
        "evidence": json.dumps([f.position for f in evidence[:EVIDENCE_POSITIONS]]),
        "technique": rule.technique,
    }


def _sorted_failures(rows: list[dict[str, Any]]) -> list[Failure]:
    failures = [
        Failure(row["event_at"], row["times"], row["username"], (row["topic"], row["partition"], row["offset"]))
        for row in rows
    ]
    return sorted(failures, key=lambda failure: (failure.at, failure.position))
