"""The rules a second time: plain loops, written from the descriptions of the rules and their thresholds.

They share no code with the rules, except the positions of countries and sets of addresses, so that each can be checked
against the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.gold.rules.builders import Event, found_in
from tests.gold.rules.naive.detections import detections_of

__all__ = ["assert_finds_the_same", "detections_of"]


def assert_finds_the_same(rule: Any, histories: Mapping[str, Sequence[Event]]) -> None:
    """A rule finds in the events of several entities at once what the loop finds in those of each."""
    found = found_in([(entity, rule, events) for entity, events in histories.items()], rule=rule)

    expected = [row for entity, events in histories.items() for row in detections_of(entity, events, rule)]
    assert sorted(found, key=_key) == sorted(expected, key=_key)


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["entity"], row["fired_at"]
