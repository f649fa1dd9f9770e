"""Rules over baselines: they compare what an entity does on a day with what it did before that day."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import polars as pl

from gold.rules.measures import OCCURRENCES, distinct
from gold.rules.model import AnyRule, Rule

# What the rules over the logins of a user report.
SUCCESSES_AND_IPS = (OCCURRENCES.alias("successes"), distinct("src_ip").alias("ips"))


class Baseline(NamedTuple):
    """What a rule gets, of many entities.

    Attributes:
        judged: The events that the rule reads, on the judged days and in order: `EVENT_COLUMNS` and `entity`.
        hours: How many of these events each hour had, on the judged days and on `days_back` days before: `entity`,
            `hour_at` and `occurrences`.
        firsts: Rows of gold.first_seen of the users; none of other entities: `entity`, `kind`, `value` and `first_at`.
    """

    judged: pl.DataFrame
    hours: pl.DataFrame
    firsts: pl.DataFrame


class BaselineRule(AnyRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule that compares what an entity does on a day with what it did before that day.

    All hits of an entity on a UTC day are one detection, so that none of these rules floods.
    """

    @property
    def days_back(self) -> int:
        """How many days before a judged day the rule reads, and for how many days an event can change detections."""
        raise NotImplementedError

    def find(self, baseline: Baseline) -> pl.DataFrame:
        """Return the evidence: rows of `baseline.judged` with `is_hit`, whether the rule fires at the event."""
        raise NotImplementedError


def over_baselines(rules: Iterable[AnyRule]) -> list[BaselineRule]:
    """Return the rules that compare a day with weeks before it."""
    return [rule for rule in rules if isinstance(rule, BaselineRule)]


def over_events(rules: Iterable[AnyRule]) -> list[Rule]:
    """Return the rules that look at the events of three days."""
    return [rule for rule in rules if isinstance(rule, Rule)]
