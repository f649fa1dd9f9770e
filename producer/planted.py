"""What is planted into the background traffic: attacks and look-alikes, made of steps that clients take."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate
from random import Random
from typing import ClassVar, Literal, TypeAlias

import msgspec

from producer.events import LOGIN_SUCCEEDED, SECOND, Client, Event, EventKind
from producer.population import Population

MINUTE = 60.0
HOUR = 60 * MINUTE


class ExpectedDetection(msgspec.Struct, frozen=True):
    """A rule that must fire because of an attack, and the entity that it must name."""

    rule: str
    entity_type: str
    entity: str


class Attack(msgspec.Struct, frozen=True):
    """A planted attack.

    Attributes:
        scenario: Name of the function that made it.
        expected: The detection that the attack is made for.
        also: Detections that the attack triggers as well.
        events: At least one event, in order of time.
    """

    kind: ClassVar[Literal["attack"]] = "attack"

    scenario: str
    expected: ExpectedDetection
    also: tuple[ExpectedDetection, ...]
    events: tuple[Event, ...]

    @property
    def detections(self) -> tuple[ExpectedDetection, ...]:
        """All detections that the attack triggers, first the one that it is made for."""
        return (self.expected, *self.also)


class LookAlike(msgspec.Struct, frozen=True):
    """Planted events that are harmless although they resemble an attack: no rule may fire because of them.

    Attributes:
        scenario: Name of the function that made it.
        events: At least one event, in order of time.
    """

    kind: ClassVar[Literal["look_alike"]] = "look_alike"

    scenario: str
    events: tuple[Event, ...]

    @property
    def detections(self) -> tuple[ExpectedDetection, ...]:
        """None."""
        return ()


Planted: TypeAlias = Attack | LookAlike
# Returns what it plants, from a random generator, the population and the first instant in milliseconds.
Scenario: TypeAlias = Callable[[Random, Population, int], Planted]
Step: TypeAlias = tuple[EventKind, Client]
# A step and its seconds after the first step.
TimedStep: TypeAlias = tuple[float, Step]


def delayed(planted: Planted, millis: int) -> Planted:
    """Return the same attack or look-alike, later by some milliseconds."""
    later = tuple(msgspec.structs.replace(event, at=event.at + millis) for event in planted.events)
    return msgspec.structs.replace(planted, events=later)


def spaced(rng: Random, steps: Iterable[Step], *, seconds: tuple[float, float]) -> list[TimedStep]:
    """Return the steps with their times: the first at 0, each next one a random number of seconds later."""
    ordered = list(steps)
    gaps = (rng.uniform(*seconds) for _ in ordered[1:])
    return list(zip(accumulate(gaps, initial=0.0), ordered, strict=True))


def events_of(rng: Random, steps: Iterable[TimedStep], *, at: int) -> tuple[Event, ...]:
    """Return an event for each step, in order of time; the instant `at` is that of second 0."""
    in_order = sorted(steps, key=lambda timed: timed[0])
    return tuple(_event(rng, at + int(seconds * SECOND), step=step) for seconds, step in in_order)


def _event(rng: Random, at: int, *, step: Step) -> Event:
    kind, client = step
    event_id = rng.randbytes(16).hex().encode()
    return Event(event_id, at, event_id[:16] if kind == LOGIN_SUCCEEDED else None, kind, client)
