"""The rules a second time: plain loops, written from the descriptions of the rules and their thresholds.

They share no code with the rules, except the positions of countries and sets of addresses, so that each can be checked
against the other.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from math import asin, cos, dist, inf, radians, sin
from typing import Any

from gold.rules.countries import positions
from gold.rules.model import Event

DAY = timedelta(days=1)
LISTED = 100


def detections_of(
    entity: str, events: Sequence[Event], rule: Any, followed: Sequence[tuple[Any, Sequence[Event]]] = ()
) -> Iterator[dict[str, Any]]:
    """Yield all detections of one entity.

    Evaluate each day from the events of the day before, the day itself and the day after. A chain of hits belongs to
    the day on which it began. If it began so early that its true beginning may lie before these three days, its hits
    on the evaluated day count as a detection of that day.

    Args:
        entity: Value of the rule's entity column.
        events: The entity's events that the rule reads, sorted by time and position.
        rule: The thresholds.
        followed: The rules whose hits it needs, each with the entity's events that it reads.
    """
    events = [event for event in events if not _is_from_proxy(event, rule)]
    instants, window = [event.at for event in events], timedelta(minutes=rule.window_minutes)
    gap = max(window, timedelta(hours=1))
    for day in sorted({at.date() for at in instants}):
        first, end = _midnight(day) - DAY, _midnight(day) + 2 * DAY
        near = events[bisect_left(instants, first) : bisect_left(instants, end)]
        numbers = _after_attack(near, rule, _hits_of(followed, first, end)) if followed else HITS[rule.name](near, rule)
        fired = [(number, near[number].at) for number in numbers]
        for chain in _chains(fired, gap):
            began = near[chain[0]].at
            if began.date() == day:
                hits = chain
            elif began < first + window + gap:
                hits = [number for number in chain if near[number].at.date() == day]
            else:
                hits = []
            if hits:
                yield _detection(entity, near, hits=hits, rule=rule)


def _is_from_proxy(event: Event, rule: Any) -> bool:
    return event.src_ip is not None and event.src_ip in getattr(rule, "proxies", ())


def _hits_of(followed: Sequence[tuple[Any, Sequence[Event]]], first: datetime, end: datetime) -> list[datetime]:
    """Return the times at which the rules fire on the events from `first` up to `end`."""
    times = []
    for rule, events in followed:
        near = [event for event in events if first <= event.at < end]
        times += [near[number].at for number in HITS[rule.name](near, rule)]
    return times


def _after_attack(events: Sequence[Event], rule: Any, attacked_at: Sequence[datetime]) -> Iterator[int]:
    """Yield the successes at a hit of an attack or less than a window after it; not of who was there before it."""
    window = timedelta(minutes=rule.window_minutes)
    for number, event in enumerate(events):
        attack = [at for at in attacked_at if at <= event.at < at + window]
        same = [other for other in events if (other.username, other.src_ip) == (event.username, event.src_ip)]
        if attack and not any(other.at < min(attack) for other in same):
            yield number


def _brute_force(events: Sequence[Event], rule: Any) -> Iterator[int]:
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


def _user_enumeration(events: Sequence[Event], rule: Any) -> list[int]:
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


def _windows(events: Sequence[Event], rule: Any) -> Iterator[tuple[int, list[Event]]]:
    """Yield the number of each event and the events of the window that ends with it."""
    window = timedelta(minutes=rule.window_minutes)
    for number, last in enumerate(events):
        yield number, [event for event in events[: number + 1] if last.at - event.at < window]


def _guesses(events: Sequence[Event], rule: Any) -> Iterator[int]:
    """Yield where the window has enough users and guesses, few of each user, and looks like a spray if that matters."""
    for number, inside in _windows(events, rule):
        guesses: Counter[str | None] = Counter()
        for event in inside:
            guesses[event.username] += event.times
        if len(guesses) < rule.users or sum(guesses.values()) < rule.guesses:
            continue
        if any(count > rule.guesses_per_user for count in guesses.values()):
            continue
        if rule.name == "password_spray":
            sprayed = [user for user, count in guesses.items() if rule.band_from <= count <= rule.band_to]
            if len(sprayed) / len(guesses) * 100 < rule.band_percent:
                continue
            if (inside[-1].at - inside[0].at).total_seconds() < rule.min_minutes * 60:
                continue
        yield number


def _distributed(events: Sequence[Event], rule: Any) -> Iterator[int]:
    """Yield where the window has enough guesses and addresses, and enough countries or very many addresses."""
    for number, inside in _windows(events, rule):
        ips = {event.src_ip for event in inside if event.src_ip is not None}
        countries = {event.country for event in inside if event.country is not None}
        if sum(event.times for event in inside) < rule.guesses or len(ips) < rule.ips:
            continue
        if len(countries) >= rule.countries or len(ips) >= rule.many_ips:
            yield number


def _lockouts(events: Sequence[Event], rule: Any) -> Iterator[int]:
    """Yield where the window has enough lockouts."""
    for number, inside in _windows(events, rule):
        if sum(event.times for event in inside) >= rule.lockouts:
            yield number


def _mfa_fatigue(events: Sequence[Event], rule: Any) -> Iterator[int]:
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


def _several_countries(events: Sequence[Event], rule: Any) -> Iterator[int]:
    """Yield where the window has enough countries."""
    for number, inside in _windows(events, rule):
        if len({event.country for event in inside}) >= rule.countries:
            yield number


def _impossible_travel(events: Sequence[Event], rule: Any) -> Iterator[int]:
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


def _session_replay(events: Sequence[Event], rule: Any) -> Iterator[int]:
    """Yield where the window has enough clients or countries."""
    for number, inside in _windows(events, rule):
        clients = {(event.agent_family, event.os_family) for event in inside if event.agent_family}
        countries = {event.country for event in inside if event.country}
        if len(clients) >= rule.clients or len(countries) >= rule.countries:
            yield number


def _concurrent_sessions(events: Sequence[Event], rule: Any) -> Iterator[int]:
    """Yield where the window has enough sessions."""
    for number, inside in _windows(events, rule):
        if len({event.session_id for event in inside}) >= rule.sessions:
            yield number


def _distributed_spray(events: Sequence[Event], rule: Any) -> Iterator[int]:
    """Yield the guesses where the window has enough guesses, users and addresses, in the right proportions."""
    for number, inside in _windows(events, rule):
        guessed = [event for event in inside if event.outcome == "failure"]
        guesses, users, ips = _all(guessed), _users(guessed), _ips(guessed)
        if events[number].outcome != "failure" or guesses < rule.guesses or users < rule.users or ips < rule.ips:
            continue
        if guesses / users > rule.guesses_per_user or users / ips < rule.users_per_ip:
            continue
        if guesses / _all(inside) * 100 >= rule.percent:
            yield number


HITS: dict[str, Callable[[Sequence[Event], Any], Iterable[int]]] = {
    "brute_force_ip": _brute_force,
    "brute_force_slow": _brute_force,
    "user_enumeration": _user_enumeration,
    "password_spray": _guesses,
    "credential_stuffing": _guesses,
    "distributed_brute_force_user": _distributed,
    "lockout_burst": _lockouts,
    "lockout_burst_ip": _lockouts,
    "mfa_fatigue": _mfa_fatigue,
    "several_countries": _several_countries,
    "password_spray_distributed": _distributed_spray,
    "impossible_travel": _impossible_travel,
    "session_replay": _session_replay,
    "concurrent_sessions": _concurrent_sessions,
    "listed_ip": lambda events, _: range(len(events)),
}


def _count(events: Sequence[Event], **values: str) -> int:
    return sum(event.times for event in events if all(getattr(event, name) == value for name, value in values.items()))


def _distinct(events: Sequence[Event], name: str) -> int:
    return len({getattr(event, name) for event in events if getattr(event, name) is not None})


def _all(events: Sequence[Event]) -> int:
    return _count(events)


def _users(events: Sequence[Event]) -> int:
    return _distinct(events, "username")


def _ips(events: Sequence[Event]) -> int:
    return _distinct(events, "src_ip")


def _countries(events: Sequence[Event]) -> int:
    return _distinct(events, "country")


Measures = dict[str, Callable[[Sequence[Event]], int]]
SIGNALS: Measures = {
    "failures": partial(_count, action="login"),
    "probes": partial(_count, action="probe"),
    "users": _users,
}
GUESSES: Measures = {"failures": _all, "users": _users}
COUNTRIES: Measures = {"successes": _all, "countries": _countries, "ips": _ips}
SUCCESSES: Measures = {"successes": _all, "users": _users, "ips": _ips}
LOCKOUTS: Measures = {"lockouts": _all, "users": _users, "ips": _ips}
MEASURES: dict[str, Measures] = {
    "brute_force_ip": SIGNALS,
    "brute_force_slow": SIGNALS,
    "user_enumeration": SIGNALS,
    "password_spray": GUESSES,
    "credential_stuffing": GUESSES,
    "distributed_brute_force_user": {"failures": _all, "ips": _ips, "countries": _countries},
    "lockout_burst": LOCKOUTS,
    "lockout_burst_ip": LOCKOUTS,
    "mfa_fatigue": {
        "failures": partial(_count, outcome="failure"),
        "successes": partial(_count, outcome="success"),
        "ips": _ips,
    },
    "several_countries": COUNTRIES,
    "impossible_travel": COUNTRIES,
    "password_spray_distributed": {"failures": _all, "users": _users, "ips": _ips},
    "success_after_attack": SUCCESSES,
    "success_after_attack_ip": SUCCESSES,
    "session_replay": {
        "events": _all,
        "clients": lambda events: len(
            {(event.agent_family, event.os_family) for event in events if event.agent_family}
        ),
        "countries": _countries,
        "ips": _ips,
        "users": _users,
    },
    "concurrent_sessions": {"successes": _all, "sessions": lambda events: _distinct(events, "session_id"), "ips": _ips},
    "listed_ip": {
        "successes": partial(_count, outcome="success"),
        "failures": partial(_count, outcome="failure"),
        "probes": partial(_count, action="probe"),
        "users": _users,
    },
}


def _chains(hits: Iterable[tuple[int, datetime]], gap: timedelta) -> Iterator[list[int]]:
    """Group hits that are less than a gap apart."""
    chain: list[int] = []
    last: datetime | None = None
    for number, at in hits:
        if last is not None and at - last >= gap:
            yield chain
            chain = []
        chain.append(number)
        last = at
    if chain:
        yield chain


def _detection(entity: str, events: Sequence[Event], *, hits: list[int], rule: Any) -> dict[str, Any]:
    """Return the row of a chain of hits.

    Its evidence begins a window before the first hit and ends with the last; of successes after an attack, the hits.
    """
    fired_at, last_at = events[hits[0]].at, events[hits[-1]].at
    first = bisect_right(events, fired_at - timedelta(minutes=rule.window_minutes), key=lambda event: event.at)
    evidence = events[first : bisect_right(events, last_at, key=lambda event: event.at)]
    if rule.name == "password_spray_distributed":
        evidence = [event for event in evidence if event.outcome == "failure"]
    if rule.name.startswith("success_after_attack"):
        evidence = [events[number] for number in hits]
    hour = fired_at.replace(minute=0, second=0, microsecond=0)
    hashed = f"{rule.name}\n{entity}\n{hour.isoformat()}"
    measures = {name: measure(evidence) for name, measure in MEASURES[rule.name].items()} | {"hits": len(hits)}
    is_success = rule.name == "mfa_fatigue" and any(events[number].outcome == "success" for number in hits)
    return {
        "detection_id": hashlib.sha256(hashed.encode()).hexdigest()[:32],
        "rule": rule.name,
        "rule_version": rule.version,
        "entity_type": rule.entity,
        "entity": entity,
        "fired_at": fired_at,
        "fired_on": fired_at.date(),
        "first_at": evidence[0].at,
        "last_at": last_at,
        "severity": rule.severity_after_success if is_success else rule.severity,
        "status": "confirmed",
        "retracted_in": None,
        "measures": json.dumps(measures, sort_keys=True),
        "evidence": json.dumps([event.position for event in evidence[:LISTED]]),
        "evidence_users": _first_different([event.username for event in evidence]),
        "evidence_ips": _first_different([event.src_ip for event in evidence]),
        "technique": rule.technique,
    }


def _first_different(values: Sequence[str | None]) -> str:
    """Return the first hundred different values as JSON, without null."""
    different: list[str] = []
    for value in values:
        if value is not None and value not in different:
            different.append(value)
    return json.dumps(different[:LISTED], ensure_ascii=False)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
