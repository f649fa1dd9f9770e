"""The rule brute_force_ip once more: a plain loop, written from its description and its thresholds."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from typing import Any, NamedTuple

from gold.transforms.detections import BruteForceIp

DAY = timedelta(days=1)
EVIDENCE = 100


class Failed(NamedTuple):
    """A failed login: when (UTC), how many it stands for, of whom, and where it lies."""

    at: datetime
    times: int
    username: str | None
    position: tuple[str, int, int]


def detections_of(failures: Iterable[tuple[Any, ...]], rule: BruteForceIp) -> Iterator[dict[str, Any]]:
    """All detections.

    Args:
        failures: src_ip, event_at, times, username and position, in the order of src_ip, event_at and
            position.
        rule: The thresholds.
    """
    for src_ip, rows in groupby(failures, key=lambda row: row[0]):
        of_address = [Failed(at.replace(tzinfo=UTC), times, name, where) for _, at, times, name, where in rows]
        if sum(failed.times for failed in of_address) > min(rule.capacity, rule.failures - 1):
            yield from _of_address(src_ip, of_address, rule=rule)


def _of_address(src_ip: str, failures: Sequence[Failed], *, rule: BruteForceIp) -> Iterator[dict[str, Any]]:
    """Each day is judged from the day before, itself and the day after; what began before these is one of the day."""
    instants, window = [failed.at for failed in failures], timedelta(minutes=rule.window_minutes)
    for day in sorted({at.date() for at in instants}):
        first, end = _midnight(day) - DAY, _midnight(day) + 2 * DAY
        near = failures[bisect_left(instants, first) : bisect_left(instants, end)]
        for hits in _together(_hits(near, rule), window):
            began = near[hits[0]].at
            if began < first + 2 * window:
                hits = [number for number in hits if near[number].at.date() == day]  # noqa: PLW2901
            elif began.date() != day:
                continue
            if hits:
                yield _detection(src_ip, near, hits=hits, rule=rule)


def _hits(failures: Sequence[Failed], rule: BruteForceIp) -> Iterator[tuple[int, datetime]]:
    """Where the rule fires: the bucket holds more than its capacity, and is emptied, or the window is full."""
    window = timedelta(minutes=rule.window_minutes)
    held, begin, inside = 0.0, 0, 0
    for number, failed in enumerate(failures):
        since = (failed.at - failures[number - 1].at).total_seconds() if number else 0.0
        held = max(0.0, held - since / rule.leak_seconds) + failed.times
        inside += failed.times
        while failures[begin].at <= failed.at - window:
            inside -= failures[begin].times
            begin += 1
        if held > rule.capacity or inside >= rule.failures:
            yield number, failed.at
        if held > rule.capacity:
            held = 0.0


def _together(hits: Iterable[tuple[int, datetime]], window: timedelta) -> Iterator[list[int]]:
    """Hits less than a window apart."""
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


def _detection(src_ip: str, failures: Sequence[Failed], *, hits: list[int], rule: BruteForceIp) -> dict[str, Any]:
    fired_at, last_at = failures[hits[0]].at, failures[hits[-1]].at
    since = fired_at - timedelta(minutes=rule.window_minutes)
    evidence = [failed for failed in failures if since < failed.at <= last_at]
    hour = fired_at.replace(minute=0, second=0, microsecond=0)
    named = f"brute_force_ip\n{src_ip}\n{hour.isoformat()}"
    counted = {
        "failures": sum(failed.times for failed in evidence),
        "hits": len(hits),
        "users": len({failed.username for failed in evidence}),
    }
    return {
        "detection_id": hashlib.sha256(named.encode()).hexdigest()[:32],
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
        "measures": json.dumps(counted),
        "evidence": json.dumps([failed.position for failed in evidence[:EVIDENCE]]),
        "technique": rule.technique,
    }


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
