"""What every detection rule has: a name, an entity, a mask of the events it reads, thresholds, and a `find` method."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar, Literal, TypeAlias

import msgspec
import narwhals.stable.v2 as nw
import polars as pl
from msgspec import Meta

from gold.rules.addresses import address_set
from lakehouse.tables.bronze import POSITION

# The columns of silver.events that rules and detections use.
EVENT_COLUMNS = (
    *("event_at", "times", "username", "action", "outcome", "src_ip", "country"),
    *("app", "is_mfa", "session_id", "device_id", "agent_family", "os_family"),
    *POSITION,
)
# Events of many contexts: EVENT_COLUMNS, entity, judged_on, context and clock. See `gold.rules.windows`.
Contexts: TypeAlias = pl.DataFrame

Severity: TypeAlias = Literal["low", "medium", "high", "critical"]
HOUR = timedelta(hours=1)


class AnyRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every rule has. Its fields are the thresholds in its section of `conf/detections.toml`.

    Attributes:
        name: Name of the rule and of its section.
        entity: The column of silver.events that names who or what a detection is about.
        select: Which accepted events the rule reads; the only definition, used by every engine.
        measures: What a detection reports about its evidence: integers, each with the name of its expression.
        sources: Addresses of the published rules that the default thresholds are from.
        false_alarms: Harmless events for which the rule is known to fire.
    """

    name: ClassVar[str]
    entity: ClassVar[str]
    select: ClassVar[nw.Expr]
    measures: ClassVar[tuple[pl.Expr, ...]]
    sources: ClassVar[tuple[str, ...]]
    false_alarms: ClassVar[str]

    version: Annotated[int, Meta(ge=1, description="Must grow when a threshold changes.")]
    severity: Annotated[Severity, Meta(description="Severity of a detection.")]
    technique: Annotated[str, Meta(description="MITRE ATT&CK technique.")]
    allow: Annotated[tuple[str, ...], Meta(description="Entities that have no detections.")] = ()

    def __post_init__(self) -> None:
        """Raise if the allow-list of a rule over addresses has something else."""
        if self.entity == "src_ip":
            address_set(self.allow)

    def reads(self) -> nw.Expr:
        """Return the mask of the silver rows that the rule reads: accepted, selected, and with an entity."""
        return (nw.col("verdict") == "accepted") & self.select & ~nw.col(self.entity).is_null()

    def looks_at(self, entity: str) -> bool:
        """Return whether the rule may fire for an entity: not if it is on the allow-list."""
        return entity not in (address_set(self.allow) if self.entity == "src_ip" else self.allow)

    def severity_of(self) -> pl.Expr:
        """Return the severity of a detection, from its evidence."""
        return pl.lit(self.severity)


class Rule(AnyRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule over the events of a day and of the days around it.

    Attributes:
        is_counted: Which of the events count towards `min_occurrences`.
        differs_in: The rule can only fire if the events have two values, at least, in one of these text columns;
            null counts as a value. No column: they need not differ.
        follows: Names of rules of the same entity. If there are any, the rule gets their hits: see `find_after`.
        is_evidence: Which events are evidence, of those from one window before the first hit to the last hit. The
            column `is_hit` is true for the hits of the detection.
    """

    is_counted: ClassVar[pl.Expr] = pl.lit(value=True)
    differs_in: ClassVar[tuple[str, ...]] = ()
    follows: ClassVar[tuple[str, ...]] = ()
    is_evidence: ClassVar[pl.Expr] = pl.lit(value=True)

    # A rule reads one day back.
    window_minutes: Annotated[float, Meta(gt=0, le=1440, description="Length of the sliding window.")]

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

    def relevant(self, events: pl.DataFrame) -> pl.DataFrame:
        """Return the events that count, of those that the rule reads: all, unless a rule leaves some out."""
        return events

    def find(self, events: Contexts) -> pl.Series:
        """Return for each event whether the rule fires at it.

        Args:
            events: Events that the rule reads, of many contexts. What the rule finds in a context depends on its
                events only.
        """
        raise NotImplementedError

    def find_after(self, events: Contexts, hits: pl.Series) -> pl.Series:  # noqa: ARG002 (see follows)
        """Return for each event whether the rule fires at it, given the hits of the rules that it follows.

        Args:
            events: As for `find`.
            hits: The ascending clock of the hits of the rules in `follows`, in the same contexts.
        """
        return self.find(events)
