"""Compare detections with the truth: ground truth files, and labels. docs/scoring.md has the rules."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import floor
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from lakehouse.tables.gold import LABEL_VALUES, RETRACTED
from loginlake.labeled import Labeled
from loginlake.matching import CasesByEntity, Detection, by_entity, matching, merged, overlap, time_of
from producer.ground_truth import PlantedCase, TruthFile

if TYPE_CHECKING:
    from serving.selection import Period

# Only rules of these severities count towards recall and precision.
COUNTED_SEVERITIES = ("medium", "high", "critical")

# What the words of `summary` mean.
DEFINITIONS = """A case is an attack and a rule that must find it. Recall: the share of the cases found.
Precision: the share of the alerts (detections) that are about an attack."""

# The severity of each rule that is scored.
Severities: TypeAlias = Mapping[str, str]


@dataclass(frozen=True)
class Attacked:
    """An attack that was planted or labeled true, the scored rules that must find it, and those that did."""

    case: PlantedCase
    rules: tuple[str, ...]
    found: tuple[str, ...]

    @property
    def missed(self) -> tuple[str, ...]:
        """The rules that did not find it."""
        return tuple(rule for rule in self.rules if rule not in self.found)


@dataclass(frozen=True)
class Alert:
    """A detection, and what is known about its entity at its time.

    Attributes:
        detection: The detection.
        attack: A planted attack; None if there was none.
        look_alike: A planted look-alike; None if there was none.
        label: The label of a detection of the same rule, where nothing was planted; None without one.
    """

    detection: Detection
    attack: PlantedCase | None
    look_alike: PlantedCase | None
    label: str | None = None

    @property
    def is_false(self) -> bool:
        """True if there was no attack."""
        return self.attack is None and self.label != "true"


@dataclass(frozen=True)
class Tally:
    """Counts of one rule, or of several together.

    Attributes:
        cases: Pairs of an attack and a rule that must find it.
        found: Cases in which the rule found the attack.
        alerts: Detections.
        false_alarms: Detections for which there was no attack.
        labeled: Detections whose label decided whether they are false alarms.
    """

    cases: int
    found: int
    alerts: int
    false_alarms: int
    labeled: int = 0

    @property
    def recall(self) -> float | None:
        """The share of the cases that were found; None without cases."""
        return self.found / self.cases if self.cases else None

    @property
    def precision(self) -> float | None:
        """The share of the alerts that were not false; None without alerts."""
        return (self.alerts - self.false_alarms) / self.alerts if self.alerts else None


@dataclass(frozen=True)
class Score:
    """The result of comparing detections with ground truth.

    Attributes:
        severities: The severity of each scored rule.
        days: Length of the time that the ground truth covers.
        users: Number of users of the ground truth.
        attacks: The complete planted attacks that a scored rule must find.
        labeled: Detections of scored rules that are labeled true, as attacks that the rule must find.
        alerts: The detections of scored rules within the time that the ground truth covers, and those with a label.
        look_alikes: The planted look-alikes.
        others: Number of the other detections: outside that time, or of rules that are not scored.
        has_truth: True if there is ground truth; False if only labels decide.
    """

    severities: Severities
    days: float
    users: int
    attacks: Sequence[Attacked]
    labeled: Sequence[Attacked]
    alerts: Sequence[Alert]
    look_alikes: Sequence[PlantedCase]
    others: int
    has_truth: bool

    @property
    def counted_rules(self) -> tuple[str, ...]:
        """The rules that count towards recall and precision."""
        return tuple(rule for rule, severity in self.severities.items() if severity in COUNTED_SEVERITIES)

    @property
    def misses(self) -> list[tuple[str, PlantedCase]]:
        """Each counted rule and attack that it must find and did not."""
        counted = set(self.counted_rules)
        return [(rule, attack.case) for attack in self._cases for rule in attack.missed if rule in counted]

    @property
    def false_alarms(self) -> list[Alert]:
        """The false alarms of counted rules, in the order in which they fired."""
        counted = set(self.counted_rules)
        alarms = [alert for alert in self.alerts if alert.is_false and alert.detection["rule"] in counted]
        return sorted(alarms, key=lambda alert: (alert.detection["fired_at"], alert.detection["detection_id"]))

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
            cases=sum(rule in rules for attack in self._cases for rule in attack.rules),
            found=sum(rule in rules for attack in self._cases for rule in attack.found),
            alerts=len(alerts),
            false_alarms=sum(alert.is_false for alert in alerts),
            labeled=sum(alert.label is not None for alert in alerts),
        )

    def labels(self, *rules: str) -> dict[str, int]:
        """Return for each label how many detections of these rules have it."""
        given = Counter(alert.label for alert in self.alerts if alert.detection["rule"] in rules)
        return {label: given[label] for label in LABEL_VALUES}

    @property
    def _cases(self) -> tuple[Attacked, ...]:
        return (*self.attacks, *self.labeled)

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


def score(
    truths: Sequence[TruthFile],
    detections: Iterable[Detection],
    *,
    severities: Severities,
    labels: Iterable[Labeled] = (),
) -> Score:
    """Return the comparison of detections with ground truth and labels.

    A detection matches a planted case if its entity is one of the case's addresses, users, apps or expected entities,
    and if the times from the first to the last event of both overlap. A label also applies to the other detections of
    its rule and entity that overlap it in time, so that it outlasts a change of the rule.

    Args:
        truths: Contents of ground truth files.
        detections: Rows of gold.detections; retracted ones are left out.
        severities: The severity of each rule to score.
        labels: Detections with a label, which counts where nothing was planted.
    """
    periods = merged((truth.start, truth.end) for truth in truths)
    planted = [case for truth in truths for case in truth.attacks]
    look_alikes = [case for truth in truths for case in truth.look_alikes]
    attacks_of, look_alikes_of = by_entity(planted), by_entity(look_alikes)
    given = _Labels(each for each in labels if not _any_match(each.detection, attacks_of, look_alikes_of))
    confirmed = [row for row in detections if row["status"] != RETRACTED]
    scored = [
        row for row in confirmed
        if row["rule"] in severities and (given.of(row) or any(overlap(time_of(row), period) for period in periods))
    ]  # fmt: skip
    labeled = [each.case for each in given if each.label == "true"]
    return Score(
        severities=severities,
        days=sum(((end - start) for start, end in periods), timedelta(0)) / timedelta(days=1),
        users=max((truth.users for truth in truths), default=0),
        attacks=_attacked(planted, scored, severities=severities),
        labeled=_attacked(labeled, scored, severities=severities),
        alerts=[_alert(row, attacks_of, look_alikes=look_alikes_of, labels=given) for row in scored],
        look_alikes=look_alikes,
        others=len(confirmed) - len(scored),
        has_truth=bool(truths),
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
    """Return what happened to attacks and look-alikes, recall and precision, and how many labels decided, in lines.

    Without ground truth, the first line has the labels, and figures without a base are left out.
    """
    total, figures = score.total, []
    if score.has_truth or total.cases:
        figures.append(f"recall {_ratio(total.recall)} ({total.found:,} of {total.cases:,} cases)")
    if score.has_truth or total.alerts:
        true = total.alerts - total.false_alarms
        figures.append(f"precision {_ratio(total.precision)} ({true:,} of {total.alerts:,} alerts)")
    if total.labeled:
        figures.append(f"{total.labeled:,} of them by their label")
    second = ", ".join(figures)
    lines = (_planted(score) if score.has_truth else _labeled(score), second[:1].upper() + second[1:])
    return "\n".join(line for line in lines if line)


def _planted(score: Score) -> str:
    return (
        f"{len(score.found_attacks):,} of {len(score.attacks):,} planted attacks found, "
        f"{len(score.detected_look_alikes):,} of {len(score.look_alikes):,} look-alikes detected"
    )


def _labeled(score: Score) -> str:
    given = score.labels(*score.severities)
    labels = ", ".join(f"{count:,} {label}" for label, count in given.items())
    count = sum(given.values())
    return f"{count:,} detection{' has' if count == 1 else 's have'} a label: {labels}"


def _rules_of(case: PlantedCase, severities: Severities) -> tuple[str, ...]:
    """Return the scored rules that must find an attack, each once."""
    return tuple(dict.fromkeys(each.rule for each in case.expected if each.rule in severities))


class _Labels:
    """Detections with a label, by rule and entity."""

    def __init__(self, labeled: Iterable[Labeled]) -> None:
        self._labeled = tuple(labeled)
        self._by_key: dict[tuple[str, ...], list[Labeled]] = defaultdict(list)
        for each in self._labeled:
            self._by_key[self._key(each.detection)].append(each)

    def __iter__(self) -> Iterator[Labeled]:
        return iter(self._labeled)

    def of(self, row: Detection) -> str | None:
        """Return the label of a detection, or of one of its rule and entity that overlaps it."""
        near = [each for each in self._by_key.get(self._key(row), ()) if overlap(time_of(each.detection), time_of(row))]
        own = [each for each in near if each.detection["detection_id"] == row["detection_id"]]
        return next((each.label for each in (*own, *near)), None)

    @staticmethod
    def _key(row: Detection) -> tuple[str, ...]:
        return row["rule"], row["entity_type"], row["entity"]


def _any_match(row: Detection, *cases: CasesByEntity) -> bool:
    return any(matching(row, each) for each in cases)


def _attacked(cases: Sequence[PlantedCase], rows: Iterable[Detection], *, severities: Severities) -> list[Attacked]:
    """Return the complete cases that a scored rule must find, each with the rules of the detections that match it."""
    cases_of, found_by = by_entity(cases), defaultdict[PlantedCase, set[str]](set)
    for row in rows:
        for case in matching(row, cases_of):
            found_by[case].add(row["rule"])
    return [
        Attacked(case, rules, tuple(rule for rule in rules if rule in found_by[case]))
        for case in cases
        if case.is_complete and (rules := _rules_of(case, severities))
    ]


def _alert(row: Detection, attacks: CasesByEntity, *, look_alikes: CasesByEntity, labels: _Labels) -> Alert:
    """Return a detection with what is known about it; what was planted takes precedence over a label."""
    attack, look_alike = (next(iter(matching(row, cases)), None) for cases in (attacks, look_alikes))
    return Alert(row, attack, look_alike, labels.of(row) if attack is look_alike is None else None)


def _ratio(value: float | None) -> str:
    """Return a share with three digits, never rounded up to 1."""
    return "-" if value is None else f"{floor(value * 1_000) / 1_000:.3f}"
