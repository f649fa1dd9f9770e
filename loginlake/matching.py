"""When a detection and a planted attack or look-alike, or two detections, are about the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from producer.ground_truth import PlantedCase

# A row of gold.detections.
Detection: TypeAlias = Mapping[str, Any]
# The type of an entity, and the entity.
EntityKey: TypeAlias = tuple[str, str]
# Planted cases by the entities that have a part in them.
CasesByEntity: TypeAlias = Mapping[EntityKey, Sequence[PlantedCase]]
# The first and the last instant.
Interval: TypeAlias = tuple[datetime, datetime]


def by_entity(cases: Iterable[PlantedCase]) -> CasesByEntity:
    """Return the planted cases of each entity that has a part in them."""
    found: dict[EntityKey, list[PlantedCase]] = defaultdict(list)
    for case in cases:
        entities: set[EntityKey] = {(each.entity_type, each.entity) for each in case.expected}
        entities |= {("src_ip", source) for source in case.sources} | {("username", user) for user in case.users}
        entities |= {("app", app) for app in case.apps}
        for entity in entities:
            found[entity].append(case)
    return found


def matching(row: Detection, cases: CasesByEntity) -> list[PlantedCase]:
    """Return the cases that a detection matches."""
    of_entity = cases.get((row["entity_type"], row["entity"]), ())
    return [case for case in of_entity if overlap(time_of(row), (case.first_at, case.last_at))]


def time_of(row: Detection) -> Interval:
    """Return the time of a detection: that of its evidence."""
    return row["first_at"], row["last_at"]


def overlap(one: Interval, other: Interval) -> bool:
    """Return whether two intervals have an instant in common."""
    return one[0] <= other[1] and other[0] <= one[1]


def merged(periods: Iterable[Interval]) -> list[Interval]:
    """Return the same time as periods that don't overlap, in order."""
    result: list[Interval] = []
    for start, end in sorted(periods):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], end))
        else:
            result.append((start, end))
    return result
