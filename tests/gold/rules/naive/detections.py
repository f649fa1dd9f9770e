"""Detections: the days of an entity one by one, chains of hits, and the rows of the table."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from tests.gold.rules.builders import Event
from tests.gold.rules.naive import guesses, logins, signals
from tests.gold.rules.naive.measures import MEASURES
from tests.gold.rules.naive.windows import chains

DAY = timedelta(days=1)
LISTED = 100
# Hits of these rules less than this apart are one detection; of others, an hour or a window.
GAPS = {"impossible_travel": timedelta(hours=8)}
HITS: dict[str, Callable[[Sequence[Event], Any], Iterable[int]]] = {
    "brute_force_ip": signals.brute_force,
    "brute_force_slow": signals.brute_force,
    "user_enumeration": signals.user_enumeration,
    "password_spray": guesses.guesses,
    "credential_stuffing": guesses.guesses,
    "distributed_brute_force_user": guesses.distributed,
    "lockout_burst": signals.lockouts,
    "lockout_burst_ip": signals.lockouts,
    "mfa_fatigue": logins.mfa_fatigue,
    "several_countries": logins.several_countries,
    "password_spray_distributed": guesses.distributed_spray,
    "impossible_travel": logins.impossible_travel,
    "session_replay": logins.session_replay,
    "concurrent_sessions": logins.concurrent_sessions,
    "listed_ip": lambda events, _: range(len(events)),
}


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
    gap = GAPS.get(rule.name, max(window, timedelta(hours=1)))
    for day in sorted({at.date() for at in instants}):
        first, end = _midnight(day) - DAY, _midnight(day) + 2 * DAY
        near = events[bisect_left(instants, first) : bisect_left(instants, end)]
        numbers = (
            logins.after_attack(near, rule, _hits_of(followed, first, end)) if followed else HITS[rule.name](near, rule)
        )
        fired = [(number, near[number].at) for number in numbers]
        for chain in chains(fired, gap):
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


def _detection(entity: str, events: Sequence[Event], *, hits: list[int], rule: Any) -> dict[str, Any]:
    """Return the row of a chain of hits.

    Its evidence begins a window before the first hit and ends with the last; of successes after an attack, the hits.
    """
    fired_at, last_at = events[hits[0]].at, events[hits[-1]].at
    first = bisect_right(events, fired_at - timedelta(minutes=rule.window_minutes), key=lambda event: event.at)
    evidence = events[first : bisect_right(events, last_at, key=lambda event: event.at)]
    if rule.name == "password_spray_distributed":
        evidence = [event for event in evidence if event.outcome == "failure"]
    if rule.name == "concurrent_sessions":
        evidence = [event for event in evidence if event.app in {events[number].app for number in hits}]
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
