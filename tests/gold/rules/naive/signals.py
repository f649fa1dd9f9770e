"""Rules over signals and lockouts: where they fire."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from math import inf
from typing import Any

from tests.gold.rules.builders import Event
from tests.gold.rules.naive.windows import windows


def brute_force(events: Sequence[Event], rule: Any) -> Iterator[int]:
    """Yield where the rule fires: the leaky bucket overflows, which empties it, or the window has enough signals."""
    window, full_window = timedelta(minutes=rule.window_minutes), getattr(rule, "signals", inf)
    level, begin, inside = 0.0, 0, 0
    for number, event in enumerate(events):
        elapsed = (event.at - events[number - 1].at).total_seconds() if number else 0.0
        level = max(0.0, level - elapsed / rule.leak_seconds) + event.times
        inside += event.times
        while events[begin].at <= event.at - window:
            inside -= events[begin].times
            begin += 1
        if level > rule.capacity or inside >= full_window:
            yield number
        if level > rule.capacity:
            level = 0.0


def user_enumeration(events: Sequence[Event], rule: Any) -> list[int]:
    """Return where one of two buckets overflows; a user in a bucket is not added again, an empty bucket has no user."""
    hits = set()
    for capacity, leak_seconds in (
        (rule.capacity, rule.leak_seconds),
        (rule.slow_capacity, rule.slow_leak_seconds),
    ):
        level, users = 0.0, []
        for number, event in enumerate(events):
            elapsed = (event.at - events[number - 1].at).total_seconds() if number else 0.0
            level -= elapsed / leak_seconds
            if level <= 0:
                level, users = 0.0, []
            if event.username not in users:
                users.append(event.username)
                level += 1
            if level > capacity:
                level, users = 0.0, []
                hits.add(number)
    return sorted(hits)


def lockouts(events: Sequence[Event], rule: Any) -> Iterator[int]:
    """Yield where the window has enough lockouts."""
    for number, inside in windows(events, rule):
        if sum(event.times for event in inside) >= rule.lockouts:
            yield number
