"""What every detection rule has: a name, an entity, a mask of the events it reads, thresholds, and a `find` method."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Annotated, ClassVar, Literal, NamedTuple, TypeAlias

import msgspec
import narwhals.stable.v2 as nw
from msgspec import Meta

from gold.rules.addresses import address_set


class Event(NamedTuple):
    """An accepted event as rules see it.

    Attributes:
        at: Event time, UTC.
        times: How many equal occurrences the record stands for.
        username: Null if the source names no user.
        position: Topic, partition and offset in bronze.
        action: login, probe, lockout or logout.
        outcome: success or failure for a login, otherwise null.
        src_ip: Source address.
        country: Country in which the source address is registered.
        session_id: Session that the event belongs to.
        agent_family: Family of the client software.
        os_family: Operating system of the client.
    """

    at: datetime
    times: int
    username: str | None
    position: tuple[str, int, int]
    action: str = "login"
    outcome: str | None = None
    src_ip: str | None = None
    country: str | None = None
    session_id: str | None = None
    agent_family: str | None = None
    os_family: str | None = None


Severity: TypeAlias = Literal["low", "medium", "high", "critical"]
HOUR = timedelta(hours=1)


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A detection rule. Its fields are the thresholds in its section of `conf/detections.toml`.

    Attributes:
        name: Name of the rule and of its section.
        entity: The column of silver.events that names who or what a detection is about.
        select: Which accepted events the rule reads; the only definition, used by every engine.
        is_counted: Which of these events count towards `min_occurrences`.
        differs_in: The rule can only fire if the events have two values, at least, in one of these columns. No column:
            they need not differ.
        follows: Names of rules of the same entity. If there are any, the rule gets their hits: see `find_after`.
        sources: Addresses of the published rules that the default thresholds are from.
        false_alarms: Harmless events for which the rule is known to fire.
    """

    name: ClassVar[str]
    entity: ClassVar[str]
    select: ClassVar[nw.Expr]
    is_counted: ClassVar[nw.Expr] = nw.lit(value=True)
    differs_in: ClassVar[tuple[str, ...]] = ()
    follows: ClassVar[tuple[str, ...]] = ()
    sources: ClassVar[tuple[str, ...]]
    false_alarms: ClassVar[str]

    version: Annotated[int, Meta(ge=1, description="Must grow when a threshold changes.")]
    severity: Annotated[Severity, Meta(description="Severity of a detection.")]
    technique: Annotated[str, Meta(description="MITRE ATT&CK technique.")]
    # A rule reads one day back.
    window_minutes: Annotated[float, Meta(gt=0, le=1440, description="Length of the sliding window.")]
    allow: Annotated[tuple[str, ...], Meta(description="Entities that have no detections.")] = ()

    def __post_init__(self) -> None:
        """Raise if the allow-list of a rule over addresses has something else."""
        if self.entity == "src_ip":
            address_set(self.allow)

    @property
    def window(self) -> timedelta:
        """The sliding window."""
        return timedelta(minutes=self.window_minutes)

    @property
    def gap(self) -> timedelta:
        """Hits that are less than this apart belong to one detection: a window, and an hour at least.

        An hour, because the id of a detection names the hour in which the rule first fired.
        """
        return max(self.window, HOUR)

    @property
    def min_occurrences(self) -> int:
        """The fewest occurrences of counted events with which the rule can fire; entities with fewer are skipped."""
        return 1

    def reads(self) -> nw.Expr:
        """Return the mask of the silver rows that the rule reads: accepted, selected, and with an entity."""
        return (nw.col("verdict") == "accepted") & self.select & ~nw.col(self.entity).is_null()

    def looks_at(self, entity: str) -> bool:
        """Return whether the rule may fire for an entity: not if it is on the allow-list."""
        return entity not in (address_set(self.allow) if self.entity == "src_ip" else self.allow)

    def relevant(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events that count, of those that the rule reads: all, unless a rule leaves some out."""
        return events

    def find(self, events: Sequence[Event]) -> Iterator[Event]:
        """Yield the events at which the rule fires.

        Args:
            events: Events of one entity that the rule reads, ordered by time and position.
        """
        raise NotImplementedError

    def find_after(self, events: Sequence[Event], hits: Sequence[Event]) -> Iterator[Event]:  # noqa: ARG002 (see follows)
        """Yield the events at which the rule fires, given the hits of the rules that it follows.

        Args:
            events: As for `find`.
            hits: Hits of the rules in `follows` for the same entity and days, ordered by time.
        """
        return self.find(events)

    def evidence(self, events: Sequence[Event], hits: Sequence[Event]) -> Sequence[Event]:
        """Return the events behind a detection: from one window before the first hit to the last hit.

        Args:
            events: As for `find`.
            hits: The hits of the detection, some of the events.
        """
        begin = bisect_right(events, hits[0].at - self.window, key=attrgetter("at"))
        return events[begin : bisect_right(events, hits[-1].at, key=attrgetter("at"))]

    def severity_of(self, hits: Sequence[Event]) -> Severity:  # noqa: ARG002 (some rules read it)
        """Return the severity of a detection with these hits."""
        return self.severity

    def measures(self, evidence: Sequence[Event]) -> Mapping[str, int]:
        """Return what a detection reports about its evidence."""
        raise NotImplementedError
