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
    """Yield the successes at a hit of an attack or less than a window after it, if they may be the attacker's."""
    window = timedelta(minutes=rule.window_minutes)
    for number, event in enumerate(events):
        attack = [at for at in attacked_at if at <= event.at < at + window]
        if event.outcome == "success" and not event.is_mfa and attack:
            before = [other for other in events if other.outcome == "success" and other.at < min(attack)]
            if not any(_is_known(event, other) for other in before) or _ends_series(events[: number + 1], rule):
                yield number


def _is_known(event: Event, other: Event) -> bool:
    """Whether the user of an event logged in there before, or on its device."""
    is_same_device = event.device_id is not None and event.device_id == other.device_id
    return event.username == other.username and (event.src_ip == other.src_ip or is_same_device)


def _ends_series(events: Sequence[Event], rule: Any) -> bool:
    """Whether the last event is a success soon after many guesses at its user, with no success between them."""
    if rule.name != "success_after_attack_ip":
        return False
    success, window = events[-1], timedelta(minutes=rule.window_minutes)
    series: list[Event] = []
    for event in reversed(events[:-1]):
        if event.username == success.username:
            if event.outcome == "success":
                break
            series.append(event)
    count = sum(event.times for event in series if success.at - event.at < window)
    return count >= rule.guesses and success.at - series[0].at < timedelta(seconds=rule.seconds)


def mfa_fatigue(events: Sequence[Event], rule: Any) -> Iterator[int]:
    """Yield where the window has enough failures since the last success, and a success within a window of a hit."""
    since: list[Event] = []
    fired_at = None
    for number, event in enumerate(events):
        window = timedelta(minutes=rule.window_minutes)
        if event.outcome == "success":
            near = [other for other in events[:number] if other.at > event.at - window]
            if any((other.outcome, other.src_ip) == ("failure", event.src_ip) for other in near):
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
    """Yield where the window has enough sessions of the app of its last event."""
    for number, inside in windows(events, rule):
        if len({event.session_id for event in inside if event.app == inside[-1].app}) >= rule.sessions:
            yield number
