"""Evaluate a rule with other thresholds on the events of a snapshot, beside its present thresholds."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gold.rules import with_thresholds
from gold.rules.model import AnyRule, Rule
from gold.rules.refusals import refusal
from lakehouse.errors import BadQuery, name_hint
from loginlake.matching import Detection, overlap, time_of

if TYPE_CHECKING:
    import polars as pl

    from serving.selection import Period

THRESHOLDS_HINT = "docs/rules.md has the thresholds of each rule"


@dataclass(frozen=True)
class Pair:
    """A detection with the present thresholds, the one with the changed thresholds that overlaps it, or only one."""

    now: Detection | None
    then: Detection | None

    @property
    def either(self) -> Detection:
        """The detection with the present thresholds if there is one, else the other."""
        return self.now or self.then or {}


def changed_rule(rule: AnyRule, settings: Iterable[str], *, folder: Path) -> AnyRule:
    """Return the rule with other thresholds.

    Args:
        rule: The rule with its present thresholds.
        settings: Texts such as `capacity=8`; a value is JSON, or else text.
        folder: Folder of the files that a value names.

    Raises:
        BadQuery: A text has another form, names no threshold of the rule, or has a value that the rule refuses.
    """
    names = type(rule).__struct_fields__
    changes: dict[str, Any] = {}
    for text in settings:
        name, sign, value = (part.strip() for part in text.partition("="))
        if not sign:
            raise BadQuery(f"--set {text!a} is not a change of a threshold", hint="Write --set KEY=VALUE")
        if name not in names:
            raise BadQuery(f"--set: {rule.name} has no threshold {name!a}", hint=name_hint(name, names))
        changes[name] = _value(value)
    try:
        return with_thresholds(rule, changes, folder=folder)
    except ValueError as error:
        raise BadQuery(f"--set: {refusal(error)}", hint=THRESHOLDS_HINT) from error


def detections(
    events: pl.LazyFrame, rule: AnyRule, *, others: Iterable[AnyRule], period: Period
) -> Sequence[Detection]:
    """Return what a rule finds and what fired within a period, oldest first.

    Args:
        events: All rows of silver.events, with any verdict.
        rule: The rule.
        others: Among them the rules that it follows.
        period: The period of `fired_at`.
    """
    import polars as pl

    from gold.rules.evaluate_baselines import detect_all

    follows = rule.follows if isinstance(rule, Rule) else ()
    found = detect_all(events, [rule, *(other for other in others if other.name in follows)])
    of_rule = pl.DataFrame(found).filter(pl.col("rule") == rule.name)
    return of_rule.filter(*period.instants("fired_at")).sort("fired_at", "entity").to_dicts()


def pairs(now: Sequence[Detection], then: Sequence[Detection]) -> list[Pair]:
    """Return the detections side by side: each with the first unpaired one of its entity that overlaps it in time."""
    waiting: dict[str, list[Detection]] = defaultdict(list)
    for row in then:
        waiting[row["entity"]].append(row)
    paired = []
    for row in now:
        others = waiting[row["entity"]]
        partner = next((other for other in others if overlap(time_of(row), time_of(other))), None)
        if partner is not None:
            others.remove(partner)
        paired.append(Pair(row, partner))
    paired += (Pair(None, row) for others in waiting.values() for row in others)
    return sorted(paired, key=lambda pair: (pair.either["fired_at"], pair.either["entity"]))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
