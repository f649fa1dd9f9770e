"""Compare detections with the planted attacks and look-alikes of ground truth files. docs/scoring.md has the rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import floor
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from lakehouse.tables.gold import RETRACTED
from producer.ground_truth import PlantedCase, TruthFile

if TYPE_CHECKING:
    from serving.selection import Period

# Only rules of these severities count towards recall and precision.
COUNTED_SEVERITIES = ("medium", "high", "critical")

# A row of gold.detections.
Detection: TypeAlias = Mapping[str, Any]
# The severity of each rule that is scored.
Severities: TypeAlias = Mapping[str, str]
# The type of an entity, and the entity.
EntityKey: TypeAlias = tuple[str, str]
# The first and the last instant.
Interval: TypeAlias = tuple[datetime, datetime]


@dataclass(frozen=True)
class Attacked:
    """A planted attack, the scored rules that must find it, and those that did."""

    case: PlantedCase
    rules: tuple[str, ...]
    found: tuple[str, ...]

    @property
    def missed(self) -> tuple[str, ...]:
        """The rules that did not find it."""
        return tuple(rule for rule in self.rules if rule not in self.found)


@dataclass(frozen=True)
class Alert:
    """A detection, and what was planted for its entity at its time; both are None if nothing was."""

    detection: Detection
    attack: PlantedCase | None
    look_alike: PlantedCase | None

    @property
    def is_false(self) -> bool:
        """True if there was no attack."""
        return self.attack is None


@dataclass(frozen=True)
class Tally:
    """Counts of one rule, or of several together.

    Attributes:
        cases: Pairs of a planted attack and a rule that must find it.
        found: Cases in which the rule found the attack.
        alerts: Detections.
        false_alarms: Detections for which there was no attack.
    """

    cases: int
    found: int
    alerts: int
    false_alarms: int

    @property
    def recall(self) -> float | None:
        """The share of the cases that were found; None without cases."""
        return self.found / self.cases if self.cases else None

    @property
    def precision(self) -> float | None:
        """The share of the alerts that were not false; None without alerts."""
        return 1 - self.false_alarms / self.alerts if self.alerts else None


@dataclass(frozen=True)
class Score:
    """The result of comparing detections with ground truth.

    Attributes:
        severities: The severity of each scored rule.
        days: Length of the time that the ground truth covers.
        users: Number of users of the ground truth.
        attacks: The complete attacks that a scored rule must find.
        alerts: The detections of scored rules within the time that the ground truth covers.
        look_alikes: The planted look-alikes.
        others: Number of detections outside that time, or of rules that are not scored.
    """

    severities: Severities
    days: float
    users: int
    attacks: Sequence[Attacked]
    alerts: Sequence[Alert]
    look_alikes: Sequence[PlantedCase]
    others: int

    @property
    def counted_rules(self) -> tuple[str, ...]:
        """The rules that count towards recall and precision."""
        return tuple(rule for rule, severity in self.severities.items() if severity in COUNTED_SEVERITIES)

    @property
    def misses(self) -> list[tuple[str, PlantedCase]]:
        """Each counted rule and attack that it must find and did not."""
        counted = set(self.counted_rules)
        return [(rule, attack.case) for attack in self.attacks for rule in attack.missed if rule in counted]

    @property
    def false_alarms(self) -> list[Alert]:
        """The false alarms of counted rules."""
        counted = set(self.counted_rules)
        return [alert for alert in self.alerts if alert.is_false and alert.detection["rule"] in counted]

    @property
    def found_attacks(self) -> list[Attacked]:
        """The attacks that at least one of their rules found."""
        return [attack for attack in self.attacks if attack.found]

    @property
    def detected_look_alikes(self) -> list[PlantedCase]:
        """The look-alikes because of which a counted rule fired."""
        return list(dict.fromkeys(alert.look_alike for alert in self.false_alarms if alert.look_alike))

    def tally(self, *rules: str) -> Tally:
        """Return the counts of these rules together."""
        alerts = [alert for alert in self.alerts if alert.detection["rule"] in rules]
        return Tally(
            cases=sum(rule in rules for attack in self.attacks for rule in attack.rules),
            found=sum(rule in rules for attack in self.attacks for rule in attack.found),
            alerts=len(alerts),
            false_alarms=sum(alert.is_false for alert in alerts),
        )

    @property
    def total(self) -> Tally:
        """The counts of all counted rules."""
        return self.tally(*self.counted_rules)

    def alerts_per_day(self, tally: Tally) -> float | None:
        """Return the alerts per day of the time that the ground truth covers."""
        return tally.alerts / self.days if self.days else None

    def alerts_per_1000_users_and_day(self, tally: Tally) -> float | None:
        """Return the alerts per day of 1,000 users."""
        return tally.alerts / self.days / self.users * 1_000 if self.days and self.users else None


def score(truths: Sequence[TruthFile], detections: Iterable[Detection], *, severities: Severities) -> Score:
    """Return the comparison of detections with ground truth.

    A detection matches a planted case if its entity is one of the case's addresses, users, apps or expected entities,
    and if the times from the first to the last event of both overlap.

    Args:
        truths: Contents of ground truth files: at least one.
        detections: Rows of gold.detections; retracted ones are left out.
        severities: The severity of each rule to score.
    """
    periods = _merged((truth.start, truth.end) for truth in truths)
    confirmed = [row for row in detections if row["status"] != RETRACTED]
    scored = [
        row for row in confirmed
        if row["rule"] in severities and any(_overlap(_time_of(row), period) for period in periods)
    ]  # fmt: skip
    attacks = [case for truth in truths for case in truth.attacks]
    look_alikes = [case for truth in truths for case in truth.look_alikes]
    attacks_of, look_alikes_of = _by_entity(attacks), _by_entity(look_alikes)
    rules_that_match: dict[PlantedCase, set[str]] = defaultdict(set)
    alerts = []
    for row in scored:
        matching = _matching(row, attacks_of)
        for case in matching:
            rules_that_match[case].add(row["rule"])
        alerts.append(Alert(row, next(iter(matching), None), next(iter(_matching(row, look_alikes_of)), None)))
    return Score(
        severities=severities,
        days=sum(((end - start) for start, end in periods), timedelta(0)) / timedelta(days=1),
        users=max(truth.users for truth in truths),
        attacks=[
            Attacked(case, rules, tuple(rule for rule in rules if rule in rules_that_match[case]))
            for case in attacks
            if case.is_complete and (rules := _rules_of(case, severities))
        ],
        alerts=alerts,
        look_alikes=look_alikes,
        others=len(confirmed) - len(scored),
    )


def within(truth: TruthFile, period: Period) -> TruthFile:
    """Return the ground truth of a period; an attack that is only partly in it counts as incomplete."""
    start, end = max(truth.start, period.since or truth.start), min(truth.end, period.until or truth.end)
    attacks = tuple(
        msgspec.structs.replace(case, is_complete=case.is_complete and start <= case.first_at and case.last_at <= end)
        for case in truth.attacks
    )
    return msgspec.structs.replace(truth, start=start, end=max(start, end), attacks=attacks)


def summary(score: Score) -> str:
    """Return what happened to attacks and look-alikes, and recall and precision, in two lines."""
    total = score.total
    return (
        f"{len(score.found_attacks):,} of {len(score.attacks):,} planted attacks found, "
        f"{len(score.detected_look_alikes):,} of {len(score.look_alikes):,} look-alikes detected\n"
        f"Recall {_ratio(total.recall)} ({total.found:,} of {total.cases:,} cases), "
        f"precision {_ratio(total.precision)} ({total.alerts - total.false_alarms:,} of {total.alerts:,} alerts)"
    )


def _rules_of(case: PlantedCase, severities: Severities) -> tuple[str, ...]:
    """Return the scored rules that must find an attack, each once."""
    return tuple(dict.fromkeys(each.rule for each in case.expected if each.rule in severities))


def _by_entity(cases: Iterable[PlantedCase]) -> Mapping[EntityKey, list[PlantedCase]]:
    """Return the planted cases of each entity that has a part in them."""
    found: dict[EntityKey, list[PlantedCase]] = defaultdict(list)
    for case in cases:
        entities: set[EntityKey] = {(each.entity_type, each.entity) for each in case.expected}
        entities |= {("src_ip", source) for source in case.sources} | {("username", user) for user in case.users}
        entities |= {("app", app) for app in case.apps}
        for entity in entities:
            found[entity].append(case)
    return found


def _matching(row: Detection, cases: Mapping[EntityKey, list[PlantedCase]]) -> list[PlantedCase]:
    """Return the cases that a detection matches."""
    of_entity = cases.get((row["entity_type"], row["entity"]), [])
    return [case for case in of_entity if _overlap(_time_of(row), (case.first_at, case.last_at))]


def _time_of(row: Detection) -> Interval:
    return row["first_at"], row["last_at"]


def _overlap(one: Interval, other: Interval) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _merged(periods: Iterable[Interval]) -> list[Interval]:
    """Return the same time as periods that don't overlap, in order."""
    merged: list[Interval] = []
    for start, end in sorted(periods):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _ratio(value: float | None) -> str:
    """Return a share with three digits, never rounded up to 1."""
    return "-" if value is None else f"{floor(value * 1_000) / 1_000:.3f}"
