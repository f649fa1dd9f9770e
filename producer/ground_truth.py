"""The ground truth of generated events: the planted attacks, to compare detections and counts with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from producer.attacks import Attack, ExpectedDetection
from producer.events import instant_of
from producer.records import Record

# Kinds of records that are not a clean event: a copy, an event sent long after it happened, an undecodable record,
# and a well-formed record that is not a login event.
NOISE = ("duplicate", "late", "broken", "foreign")


@dataclass
class GroundTruth:
    """Counts and attacks of the records that were taken from a stream; it never lists a record that was not.

    Attributes:
        plan: The plan of the stream.
        background: Number of records of the background traffic.
        counts: Number of the other records by kind: attack, duplicate, late, broken, foreign.
        attacks: Attacks that have begun, in order, each with the ids of its events so far.
    """

    plan: Any
    background: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    attacks: dict[int, tuple[Attack, list[str]]] = field(default_factory=dict)

    def add_attack_event(self, attack: Attack, record: Record) -> None:
        """Count the record of an event of an attack and list its event id."""
        self.counts["attack"] += 1
        self.attacks.setdefault(id(attack), (attack, []))[1].append((record.event_id or b"").decode())

    def to_json(self) -> bytes:
        """Return the content of the ground truth file."""
        content = {
            "seed": self.plan.seed,
            "start": rfc3339(self.plan.start),
            "format": self.plan.format,
            "users": self.plan.users,
            "counts": self._counts_by_kind(),
            "attacks": [_attack_entry(attack, event_ids) for attack, event_ids in self.attacks.values()],
        }
        return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"

    def __str__(self) -> str:
        """Return a summary in one sentence."""
        scenarios = Counter(attack.scenario for attack, _ in self.attacks.values())
        noise = {kind: self.counts[kind] for kind in NOISE}
        return (
            f"{sum(scenarios.values())} planted attacks{_in_brackets(scenarios)}, "
            f"{sum(noise.values())} noise records{_in_brackets(noise)}"
        )

    def _counts_by_kind(self) -> dict[str, int]:
        kinds = {"background": self.background} | {kind: self.counts[kind] for kind in ("attack", *NOISE)}
        return {"records": sum(kinds.values()), **kinds}


def rfc3339(at: int) -> str:
    """Return milliseconds since 1970 in the notation of RFC 3339."""
    return instant_of(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _attack_entry(attack: Attack, event_ids: list[str]) -> dict[str, Any]:
    return {
        "scenario": attack.scenario,
        **_detection_entry(attack.expected),
        "also": [_detection_entry(expected) for expected in attack.also],
        "first_at": rfc3339(attack.events[0].at),
        "last_at": rfc3339(attack.events[len(event_ids) - 1].at),
        "is_complete": len(event_ids) == len(attack.events),
        "event_ids": event_ids,
    }


def _detection_entry(expected: ExpectedDetection) -> dict[str, str]:
    return msgspec.structs.asdict(expected)


def _in_brackets(counts: Mapping[str, int]) -> str:
    parts = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if count)
    return f" ({parts})" if parts else ""
