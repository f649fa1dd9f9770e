"""What was planted: the answer that detection and counting are held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from producer.attacks import Attack, Hit
from producer.events import instant_of
from producer.records import Record

DIRT = ("duplicate", "late", "broken", "foreign")


@dataclass
class Truth:
    """Filled while the records are taken, so that it never claims what was not sent.

    Attributes:
        plan: What was asked for.
        usual: Records of the population's own events, apart because every record counts here.
        counts: The other records per kind: attack, late, duplicate, broken, foreign.
        sent: Attacks that began, in order, each with the ids of its events so far.
    """

    plan: Any
    usual: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    sent: dict[int, tuple[Attack, list[str]]] = field(default_factory=dict)

    def saw(self, attack: Attack, record: Record) -> None:
        """Notes that the record of an event of the attack was taken."""
        self.counts["attack"] += 1
        self.sent.setdefault(id(attack), (attack, []))[1].append((record.event_id or b"").decode())

    def to_json(self) -> bytes:
        """The truth file."""
        noted = {
            "seed": self.plan.seed,
            "start": instant(self.plan.start),
            "format": self.plan.format,
            "users": self.plan.users,
            "counts": self._counted(),
            "attacks": [_noted(attack, ids) for attack, ids in self.sent.values()],
        }
        return msgspec.json.format(msgspec.json.encode(noted), indent=2) + b"\n"

    def __str__(self) -> str:
        """What was planted, in a few words."""
        scenarios = Counter(attack.scenario for attack, _ in self.sent.values())
        dirt = {kind: self.counts[kind] for kind in DIRT}
        return (
            f"{sum(scenarios.values())} attacks planted{_listed(scenarios)}, {sum(dirt.values())} dirty{_listed(dirt)}"
        )

    def _counted(self) -> dict[str, int]:
        kinds = {"usual": self.usual} | {kind: self.counts[kind] for kind in ("attack", *DIRT)}
        return {"records": sum(kinds.values()), **kinds}


def instant(at: int) -> str:
    """Milliseconds since 1970 as RFC 3339."""
    return instant_of(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _noted(attack: Attack, event_ids: list[str]) -> dict[str, Any]:
    return {
        "scenario": attack.scenario,
        **_hit(attack.hit),
        "also": [_hit(hit) for hit in attack.also],
        "first_at": instant(attack.events[0].at),
        "last_at": instant(attack.events[len(event_ids) - 1].at),
        "is_complete": len(event_ids) == len(attack.events),
        "event_ids": event_ids,
    }


def _listed(counts: Mapping[str, int]) -> str:
    named = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if count)
    return f" ({named})" if named else ""


def _hit(hit: Hit) -> dict[str, str]:
    return msgspec.structs.asdict(hit)
