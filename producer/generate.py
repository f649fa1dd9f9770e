"""The generator: a seed, a start and a few rates in, records out. Pure: no clock, no IO.

The same plan gives the same bytes, in every process.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random

import msgspec

from producer.arrivals import spread, steady, weekly_activity
from producer.attacks import Attack, endless
from producer.background_traffic import Usual
from producer.events import DAY_SECONDS, SECOND, Event
from producer.ground_truth import DIRT, Truth
from producer.population import Population, a_population
from producer.records import FORMATS, Record

LATE_SECONDS = (3_600, 3 * DAY_SECONDS)
REMEMBERED = 500


@dataclass(frozen=True)
class Plan:
    """What is to be generated.

    Attributes:
        seed: Decides all that is left to chance; the population hangs on it alone.
        start: Instant of the first event at the earliest, milliseconds since 1970.
        users: Size of the population.
        attacks: Part of the records that belongs to planted attacks, from 0 to 1.
        dirt: Part of the other records that is dirt, from 0 to 1.
        format: `login` or `sshd`.
    """

    seed: int
    start: int
    users: int = 1000
    attacks: float = 0.05
    dirt: float = 0.02
    format: str = "login"

    def chance(self, purpose: str) -> Random:
        """Randomness of its own for each purpose: a change in one leaves the others as they were."""
        return Random(f"{purpose} {self.seed} {self.start}")  # noqa: S311 (repeatable on purpose)


class Stream:
    """Records in the order in which they are sent, and the truth about those taken so far.

    Args:
        plan: What is wanted.
        population: Who logs in.
        arrivals: Instants of everything but the attacks, rising.
        attacks: Attacks by their first instant, rising.
    """

    def __init__(
        self, plan: Plan, population: Population, *, arrivals: Iterable[list[int]], attacks: Iterable[Attack]
    ) -> None:
        self.truth = Truth(plan)
        self._dirt = plan.dirt
        self._format = FORMATS[plan.format]
        self._usual = Usual(population, plan.chance("usual"))
        self._rng = plan.chance("dirt")
        # Apart, since formats differ in how they break: the events stay the same in each of them.
        self._spoiling = plan.chance("spoiling")
        self._arrivals = arrivals
        self._attacks = attacks
        self._remembered: deque[Record] = deque(maxlen=REMEMBERED)

    def __iter__(self) -> Iterator[Record]:
        """Each record once; attacks lie among the rest by their instants."""
        truth, random, dirt, remember = self.truth, self._rng.random, self._dirt, self._remembered.append
        record = self._format.record
        planted = in_order(self._attacks)
        upcoming = next(planted, None)
        for instants in self._arrivals:
            for event in self._usual.events(instants):
                at = event.at
                while upcoming is not None and upcoming[0].at <= at:
                    yield self._planted(*upcoming)
                    upcoming = next(planted, None)
                if random() < dirt:
                    yield self._dirty(event)
                else:
                    truth.usual += 1
                    made = record(event, at)
                    remember(made)
                    yield made
        while upcoming is not None:
            yield self._planted(*upcoming)
            upcoming = next(planted, None)

    def _planted(self, event: Event, attack: Attack) -> Record:
        record = self._format.record(event, event.at)
        self.truth.saw(attack, record)
        return self._remember(record)

    def _dirty(self, event: Event) -> Record:
        """Dirt in the place of an event: made of it, or a copy of a record sent before."""
        kind = self._rng.choice(DIRT if self._remembered else ("late",))
        self.truth.counts[kind] += 1
        if kind == "duplicate":
            return self._rng.choice(self._remembered)
        if kind == "late":
            return self._remember(self._format.record(self._belated(event), event.at))
        ways = self._format.broken if kind == "broken" else self._format.foreign
        spoil = self._spoiling.choice(list(ways.values()))
        return Record(event.client.key, spoil(event), self._format.headers(event.at), None, event.at)

    def _belated(self, event: Event) -> Event:
        """The same event, hours or days before it is sent."""
        return msgspec.structs.replace(event, at=event.at - self._rng.randint(*LATE_SECONDS) * SECOND)

    def _remember(self, record: Record) -> Record:
        """Keeps a record for a while, to send it again."""
        self._remembered.append(record)
        return record


def batch(plan: Plan, *, events: int, end: int) -> Stream:
    """Exactly so many records, their instants between the plan's start and `end`."""
    population = a_population(plan.seed, plan.users)
    attacks = _planted_between(plan, population, budget=int(events * plan.attacks), end=end)
    left = events - sum(len(attack.events) for attack in attacks)
    arrivals = spread(plan.chance("arrivals"), weekly_activity(population), start=plan.start, end=end, count=left)
    return Stream(plan, population, arrivals=arrivals, attacks=attacks)


def live(plan: Plan, *, rate: float) -> Stream:
    """Records without end, so many a second from the plan's start on."""
    population = a_population(plan.seed, plan.users)
    arrivals = steady(plan.chance("arrivals"), start=plan.start, per_second=rate * (1.0 - plan.attacks))
    attacks = _planted_without_end(plan, population, per_second=rate * plan.attacks)
    return Stream(plan, population, arrivals=arrivals, attacks=attacks)


def in_order(attacks: Iterable[Attack]) -> Iterator[tuple[Event, Attack]]:
    """Events of attacks that overlap, by their instants; no attack is asked for before it begins."""
    running: list[tuple[int, int, int, Attack]] = []
    for number, attack in enumerate(attacks):
        while running and running[0][0] <= attack.events[0].at:
            yield _step(running)
        heapq.heappush(running, (attack.events[0].at, number, 0, attack))
    while running:
        yield _step(running)


def _step(running: list[tuple[int, int, int, Attack]]) -> tuple[Event, Attack]:
    _, number, index, attack = running[0]
    if index + 1 < len(attack.events):
        heapq.heapreplace(running, (attack.events[index + 1].at, number, index + 1, attack))
    else:
        heapq.heappop(running)
    return attack.events[index], attack


def _planted_between(plan: Plan, population: Population, *, budget: int, end: int) -> list[Attack]:
    """Whole attacks, every scenario in turn, as many as the budget of events holds."""
    rng = plan.chance("attacks")
    attacks: list[Attack] = []
    for scenario in endless(rng):
        attack = scenario(rng, population, plan.start)
        budget -= len(attack.events)
        if budget < 0:
            break
        room = end - 1 - attack.events[-1].at
        attacks.append(attack.moved(rng.randint(0, max(room, 0))))
    return sorted(attacks, key=lambda attack: attack.events[0].at)


def _planted_without_end(plan: Plan, population: Population, *, per_second: float) -> Iterator[Attack]:
    """Attacks as far apart as their sizes ask for, so that the rate of their events holds in the long run."""
    if per_second == 0.0:
        return
    rng = plan.chance("attacks")
    at = float(plan.start)
    for scenario in endless(rng):
        attack = scenario(rng, population, 0)
        at += rng.expovariate(per_second / len(attack.events)) * SECOND
        yield attack.moved(int(at))
