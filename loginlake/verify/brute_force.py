"""The rule brute_force_ip a second time: a plain loop, written from the description of the rule and its thresholds.

It shares no code with the rule itself, so that each can be checked against the other.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from typing import Any, NamedTuple

from gold.rules.brute_force_ip import BruteForceIp

DAY = timedelta(days=1)
EVIDENCE_POSITIONS = 100


class Failure(NamedTuple):
    """A failed login: when (UTC), how many occurrences it stands for, the user name, and the Kafka position."""

    at: datetime
    times: int
    username: str | None
    position: tuple[str, int, int]


def detections_of(failures: Iterable[tuple[Any, ...]], rule: BruteForceIp) -> Iterator[dict[str, Any]]:
    """Yield all detections.

    Args:
        failures: Tuples of src_ip, event_at, times, username and position, sorted by src_ip, event_at and position.
        rule: The thresholds.
    """
    for src_ip, rows in groupby(failures, key=lambda row: row[0]):
        of_address = [Failure(at.replace(tzinfo=UTC), times, name, where) for _, at, times, name, where in rows]
        if sum(failure.times for failure in of_address) > min(rule.capacity, rule.failures - 1):
            yield from _detections_of_address(src_ip, of_address, rule=rule)


def _detections_of_address(src_ip: str, failures: Sequence[Failure], *, rule: BruteForceIp) -> Iterator[dict[str, Any]]:
    """Judge each day by the failures of the day before, the day itself and the day after.

    A chain of hits belongs to the day on which it began. If it began so early that its true beginning may lie before
    these three days, its hits on the judged day count as a detection of that day.
    """
    instants, window = [failure.at for failure in failures], timedelta(minutes=rule.window_minutes)
    for day in sorted({at.date() for at in instants}):
        first, end = _midnight(day) - DAY, _midnight(day) + 2 * DAY
        near = failures[bisect_left(instants, first) : bisect_left(instants, end)]
        for chain in _chains(_hits(near, rule), window):
            began = near[chain[0]].at
            if began.date() == day:
                hits = chain
            elif began < first + 2 * window:
                hits = [number for number in chain if near[number].at.date() == day]
            else:
                hits = []
            if hits:
                yield _detection(src_ip, near, hits=hits, rule=rule)


def _hits(failures: Sequence[Failure], rule: BruteForceIp) -> Iterator[tuple[int, datetime]]:
    """Yield where the rule fires: the leaky bucket overflows, which empties it, or the window has enough failures."""
    window = timedelta(minutes=rule.window_minutes)
    level, begin, inside = 0.0, 0, 0
    for number, failure in enumerate(failures):
        elapsed = (failure.at - failures[number - 1].at).total_seconds() if number else 0.0
        level = max(0.0, level - elapsed / rule.leak_seconds) + failure.times
        inside += failure.times
        while failures[begin].at <= failure.at - window:
            inside -= failures[begin].times
            begin += 1
        if level > rule.capacity or inside >= rule.failures:
            yield number, failure.at
        if level > rule.capacity:
            level = 0.0


def _chains(hits: Iterable[tuple[int, datetime]], window: timedelta) -> Iterator[list[int]]:
    """Group hits that are less than a window apart."""
    chain: list[int] = []
    last: datetime | None = None
    for number, at in hits:
        if last is not None and at - last >= window:
            yield chain
            chain = []
        chain.append(number)
        last = at
    if chain:
        yield chain


def _detection(src_ip: str, failures: Sequence[Failure], *, hits: list[int], rule: BruteForceIp) -> dict[str, Any]:
    """Return the row of a chain of hits; its evidence begins a window before the first hit and ends with the last."""
    fired_at, last_at = failures[hits[0]].at, failures[hits[-1]].at
    first = bisect_right(failures, fired_at - timedelta(minutes=rule.window_minutes), key=lambda failure: failure.at)
    evidence = failures[first : bisect_right(failures, last_at, key=lambda failure: failure.at)]
    hour = fired_at.replace(minute=0, second=0, microsecond=0)
    hashed = f"brute_force_ip\n{src_ip}\n{hour.isoformat()}"
    measures = {
        "failures": sum(failure.times for failure in evidence),
        "hits": len(hits),
        "users": len({failure.username for failure in evidence}),
    }
    return {
        "detection_id": hashlib.sha256(hashed.encode()).hexdigest()[:32],
        "rule": "brute_force_ip",
        "rule_version": rule.version,
        "entity_type": "src_ip",
        "entity": src_ip,
        "fired_at": fired_at,
        "fired_on": fired_at.date(),
        "first_at": evidence[0].at,
        "last_at": last_at,
        "severity": rule.severity,
        "status": "confirmed",
        "measures": json.dumps(measures),
        "evidence": json.dumps([failure.position for failure in evidence[:EVIDENCE_POSITIONS]]),
        "technique": rule.technique,
    }


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
