"""The brute force rules a second time: plain loops, written from the descriptions of the rules and their thresholds.

They share no code with the rules, so that each can be checked against the other.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from math import inf
from typing import Any, NamedTuple

from gold.rules.signals import SignalRule

DAY = timedelta(days=1)
EVIDENCE_POSITIONS = 100


class Signal(NamedTuple):
    """A failure or a probe: when (UTC), how many occurrences it stands for, the user name, and the Kafka position."""

    at: datetime
    times: int
    username: str | None
    position: tuple[str, int, int]
    action: str


def detections_of(signals: Iterable[tuple[Any, ...]], rule: SignalRule) -> Iterator[dict[str, Any]]:
    """Yield all detections.

    Args:
        signals: Tuples of src_ip, event_at, times, username, position and action, sorted by src_ip, event_at and
            position.
        rule: The thresholds.
    """
    for src_ip, rows in groupby(signals, key=lambda row: row[0]):
        of_address = [Signal(at.replace(tzinfo=UTC), *others) for _, at, *others in rows]
        yield from _detections_of_address(src_ip, of_address, rule=rule)


def _detections_of_address(src_ip: str, signals: Sequence[Signal], *, rule: SignalRule) -> Iterator[dict[str, Any]]:
    """Evaluate each day from the signals of the day before, the day itself and the day after.

    A chain of hits belongs to the day on which it began. If it began so early that its true beginning may lie before
    these three days, its hits on the evaluated day count as a detection of that day.
    """
    instants, window = [signal.at for signal in signals], timedelta(minutes=rule.window_minutes)
    for day in sorted({at.date() for at in instants}):
        first, end = _midnight(day) - DAY, _midnight(day) + 2 * DAY
        near = signals[bisect_left(instants, first) : bisect_left(instants, end)]
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


def _hits(signals: Sequence[Signal], rule: SignalRule) -> Iterator[tuple[int, datetime]]:
    """Yield where the rule fires: the leaky bucket overflows, which empties it, or the window has enough signals."""
    window, full_window = timedelta(minutes=rule.window_minutes), getattr(rule, "signals", inf)
    level, begin, inside = 0.0, 0, 0
    for number, signal in enumerate(signals):
        elapsed = (signal.at - signals[number - 1].at).total_seconds() if number else 0.0
        level = max(0.0, level - elapsed / rule.leak_seconds) + signal.times
        inside += signal.times
        while signals[begin].at <= signal.at - window:
            inside -= signals[begin].times
            begin += 1
        if level > rule.capacity or inside >= full_window:
            yield number, signal.at
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


def _detection(src_ip: str, signals: Sequence[Signal], *, hits: list[int], rule: SignalRule) -> dict[str, Any]:
    """Return the row of a chain of hits; its evidence begins a window before the first hit and ends with the last."""
    fired_at, last_at = signals[hits[0]].at, signals[hits[-1]].at
    first = bisect_right(signals, fired_at - timedelta(minutes=rule.window_minutes), key=lambda signal: signal.at)
    evidence = signals[first : bisect_right(signals, last_at, key=lambda signal: signal.at)]
    hour = fired_at.replace(minute=0, second=0, microsecond=0)
    hashed = f"{rule.name}\n{src_ip}\n{hour.isoformat()}"
    measures = {
        "failures": sum(signal.times for signal in evidence if signal.action == "login"),
        "hits": len(hits),
        "probes": sum(signal.times for signal in evidence if signal.action == "probe"),
        "users": len({signal.username for signal in evidence}),
    }
    return {
        "detection_id": hashlib.sha256(hashed.encode()).hexdigest()[:32],
        "rule": rule.name,
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
        "evidence": json.dumps([signal.position for signal in evidence[:EVIDENCE_POSITIONS]]),
        "technique": rule.technique,
    }


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
