"""Rules over successes, sessions and second factors: where they fire."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from math import asin, cos, dist, radians, sin
from typing import Any

from gold.rules.countries import positions
from tests.gold.rules.builders import Event
from tests.gold.rules.naive.windows import windows


def after_attack(events: Sequence[Event], rule: Any, attacked_at: Sequence[datetime]) -> Iterator[int]:
    """Yield the successes at a hit of an attack or less than a window after it; not of who was there before it."""
    window = timedelta(minutes=rule.window_minutes)
    for number, event in enumerate(events):
        attack = [at for at in attacked_at if at <= event.at < at + window]
        same = [other for other in events if (other.username, other.src_ip) == (event.username, event.src_ip)]
        if attack and not any(other.at < min(attack) for other in same):
            yield number


def mfa_fatigue(events: Sequence[Event], rule: Any) -> Iterator[int]:
    """Yield where the window has enough failures since the last success, and a success within a window of a hit."""
    since: list[Event] = []
    fired_at = None
    for number, event in enumerate(events):
        window = timedelta(minutes=rule.window_minutes)
        if event.outcome == "success":
            if fired_at is not None and event.at < fired_at + window:
                yield number
            since, fired_at = [], None
        else:
            since.append(event)
            if sum(other.times for other in since if other.at > event.at - window) >= rule.failures:
                fired_at = event.at
                yield number


def several_countries(events: Sequence[Event], rule: Any) -> Iterator[int]:
    """Yield where the window has enough countries."""
    for number, inside in windows(events, rule):
        if len({event.country for event in inside}) >= rule.countries:
            yield number


def impossible_travel(events: Sequence[Event], rule: Any) -> Iterator[int]:
    """Yield the logins that are too far from the one before for the time between them."""
    for number in range(1, len(events)):
        hours = (events[number].at - events[number - 1].at).total_seconds() / 3600
        km = _km(*(positions()[str(events[each].country)] for each in (number - 1, number)))
        if hours < rule.window_minutes / 60 and km > rule.km and km > rule.km_per_hour * hours:
            yield number


def _km(*ends: tuple[float, float]) -> float:
    """Return the length of an arc on the earth, from the straight line between its ends."""
    points = []
    for latitude, longitude in ends:
        north, east = radians(latitude), radians(longitude)
        points.append((cos(north) * cos(east), cos(north) * sin(east), sin(north)))
    return 6371 * 2 * asin(dist(*points) / 2)


def session_replay(events: Sequence[Event], rule: Any) -> Iterator[int]:
    """Yield where the window has enough clients or countries."""
    for number, inside in windows(events, rule):
        clients = {(event.agent_family, event.os_family) for event in inside if event.agent_family}
        countries = {event.country for event in inside if event.country}
        if len(clients) >= rule.clients or len(countries) >= rule.countries:
            yield number


def concurrent_sessions(events: Sequence[Event], rule: Any) -> Iterator[int]:
    """Yield where the window has enough sessions."""
    for number, inside in windows(events, rule):
        if len({event.session_id for event in inside}) >= rule.sessions:
            yield number
