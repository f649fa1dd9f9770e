"""What every detection rule has: a name, an entity, a mask of the events it reads, thresholds, and a `find` method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Literal, NamedTuple

import msgspec
import narwhals.stable.v2 as nw
from msgspec import Meta


class Event(NamedTuple):
    """An accepted event as rules see it.

    Attributes:
        at: Event time, UTC.
        times: How many equal occurrences the record stands for.
        username: Null if the source names no user.
        position: Topic, partition and offset in bronze.
        action: login, probe, lockout or logout.
    """

    at: datetime
    times: int
    username: str | None
    position: tuple[str, int, int]
    action: str = "login"


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A detection rule. Its fields are the thresholds in its section of `conf/detections.toml`.

    Attributes:
        name: Name of the rule and of its section.
        entity: The column of silver.events that names who or what a detection is about.
        select: Which accepted events the rule reads; the only definition, used by every engine.
        version: Must grow when a threshold changes.
        severity: Severity of each detection.
        technique: MITRE ATT&CK technique.
        window_minutes: Length of the sliding window. Hits less than a window apart belong to one detection. At least
            60, because a detection's id names the hour; at most 1440, because a rule reads one day back.
    """

    name: ClassVar[str]
    entity: ClassVar[str]
    select: ClassVar[nw.Expr]

    version: Annotated[int, Meta(ge=1)]
    severity: Literal["low", "medium", "high", "critical"]
    technique: str
    window_minutes: Annotated[float, Meta(ge=60, le=1440)]

    @property
    def window(self) -> timedelta:
        """The sliding window."""
        return timedelta(minutes=self.window_minutes)

    @property
    def min_occurrences(self) -> int:
        """The fewest occurrences with which the rule can fire; entities with fewer are skipped."""
        return 1

    def reads(self) -> nw.Expr:
        """Return the mask of the silver rows that the rule reads: accepted, selected, and with an entity."""
        return (nw.col("verdict") == "accepted") & self.select & ~nw.col(self.entity).is_null()

    def find(self, events: Sequence[Event]) -> Iterator[Event]:
        """Yield the events at which the rule fires.

        Args:
            events: Events of one entity that the rule reads, ordered by time and position.
        """
        raise NotImplementedError

    def measures(self, evidence: Sequence[Event]) -> Mapping[str, int]:
        """Return what a detection reports about its evidence."""
        raise NotImplementedError
