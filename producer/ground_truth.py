"""The ground truth of generated events: the planted attacks and look-alikes, to compare detections and counts with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from lakehouse.errors import UsageError
from producer.events import instant_of
from producer.planted import Attack, ExpectedDetection, LookAlike, Planted
from producer.records import FORMATS, Record

# Kinds of records that are not a clean event: a copy, an event sent long after it happened, an undecodable record,
# and a well-formed record that is not a login event.
NOISE = ("duplicate", "late", "broken", "foreign")
Ids: TypeAlias = list[str]


class PlantedCase(msgspec.Struct, frozen=True):
    """An attack or look-alike in a ground truth file.

    Attributes:
        kind: Whether a rule must fire or no rule may fire.
        scenario: Name of its scenario.
        expected: The detections that an attack triggers, first the one that it is made for; none for a look-alike,
            and none that the format of the records does not allow.
        sources: Addresses of its events.
        users: User names of its events.
        apps: Applications of its events, as silver has them.
        first_at: Instant of its first event.
        last_at: Instant of its last event that was sent.
        is_complete: False if the stream ended before its last event.
        event_ids: Ids of its events that were sent.
    """

    kind: Literal["attack", "look_alike"]
    scenario: str
    expected: tuple[ExpectedDetection, ...]
    sources: tuple[str, ...]
    users: tuple[str, ...]
    apps: tuple[str, ...]
    first_at: datetime
    last_at: datetime
    is_complete: bool
    event_ids: tuple[str, ...]


class TruthFile(msgspec.Struct, frozen=True):
    """The content of a ground truth file.

    Attributes:
        seed: Seed of the stream.
        start: Earliest instant of an event.
        end: Instant at which the last record was sent.
        format: Format of the records.
        users: Size of the population.
        counts: Number of records by kind.
        attacks: The planted attacks that have begun.
        look_alikes: The planted look-alikes that have begun.
    """

    seed: int
    start: datetime
    end: datetime
    format: str
    users: int
    counts: dict[str, int]
    attacks: tuple[PlantedCase, ...]
    look_alikes: tuple[PlantedCase, ...]


@dataclass
class GroundTruth:
    """Counts and planted cases of the records that were taken from a stream; it never lists a record that was not.

    Attributes:
        plan: The plan of the stream.
        background: Number of records of the background traffic.
        counts: Number of the other records by kind: attack, look_alike, duplicate, late, broken, foreign.
        attacks: Attacks that have begun, in order, each with the ids of its events so far.
        look_alikes: The same of look-alikes.
        last_at: Instant at which the last record was sent, milliseconds since 1970.
    """

    plan: Any
    background: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    attacks: dict[int, tuple[Attack, Ids]] = field(default_factory=dict)
    look_alikes: dict[int, tuple[LookAlike, Ids]] = field(default_factory=dict)
    last_at: int = 0

    def add_planted_event(self, planted: Planted, record: Record) -> None:
        """Count the record of an event of an attack or look-alike and list its event id."""
        self.counts[planted.kind] += 1
        begun: dict[int, tuple[Any, Ids]] = self.attacks if isinstance(planted, Attack) else self.look_alikes
        begun.setdefault(id(planted), (planted, []))[1].append((record.event_id or b"").decode())

    def content(self) -> TruthFile:
        """Return the content of the ground truth file."""
        return TruthFile(
            seed=self.plan.seed,
            start=instant_of(self.plan.start),
            end=instant_of(max(self.plan.start, self.last_at)),
            format=self.plan.format,
            users=self.plan.users,
            counts=self._counts_by_kind(),
            attacks=tuple(self._case(*begun) for begun in self.attacks.values()),
            look_alikes=tuple(self._case(*begun) for begun in self.look_alikes.values()),
        )

    def to_json(self) -> bytes:
        """Return the ground truth file."""
        return msgspec.json.format(msgspec.json.encode(self.content()), indent=2) + b"\n"

    def __str__(self) -> str:
        """Return a summary in one sentence."""
        noise = {kind: self.counts[kind] for kind in NOISE}
        return (
            f"{_number_of(len(self.attacks), 'planted attack')}{_in_brackets(_scenarios(self.attacks))}, "
            f"{_number_of(len(self.look_alikes), 'look-alike')}{_in_brackets(_scenarios(self.look_alikes))}, "
            f"{_number_of(sum(noise.values()), 'noise record')}{_in_brackets(noise)}"
        )

    def _case(self, planted: Planted, event_ids: Ids) -> PlantedCase:
        events, log_format = planted.events, FORMATS[self.plan.format]
        return PlantedCase(
            kind=planted.kind,
            scenario=planted.scenario,
            expected=tuple(each for each in planted.detections if each.rule not in log_format.undetectable),
            sources=_distinct(event.client.src_ip for event in events),
            users=_distinct(event.client.username for event in events),
            apps=_distinct(log_format.app or event.client.app for event in events),
            first_at=instant_of(events[0].at),
            last_at=instant_of(events[len(event_ids) - 1].at),
            is_complete=len(event_ids) == len(events),
            event_ids=tuple(event_ids),
        )

    def _counts_by_kind(self) -> dict[str, int]:
        others = (Attack.kind, LookAlike.kind, *NOISE)
        kinds = {"background": self.background} | {kind: self.counts[kind] for kind in others}
        return {"records": sum(kinds.values()), **kinds}


def read_truth(path: Path) -> TruthFile:
    """Return the content of a ground truth file.

    Raises:
        UsageError: The file can't be read, or is not a ground truth file.
    """
    hint = "Name a file that `loginlake produce generate --truth FILE` wrote"
    try:
        return msgspec.json.decode(path.read_bytes(), type=TruthFile)
    except OSError as error:
        raise UsageError(f"{path} can't be read ({error.strerror})", hint=hint) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a ground truth file: {error}", hint=hint) from error


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


def _scenarios(begun: Mapping[int, tuple[Any, Ids]]) -> Counter[str]:
    return Counter(planted.scenario for planted, _ in begun.values())


def _number_of(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _in_brackets(counts: Mapping[str, int]) -> str:
    parts = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if count)
    return f" ({parts})" if parts else ""
