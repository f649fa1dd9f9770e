"""Generate records from a seed, a start and a few rates. Pure: no clock, no IO.

The same plan yields the same bytes in every process.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random

import msgspec

from producer.arrivals import batch_arrivals, live_arrivals, weekly_activity
from producer.attacks import Attack, shuffled_scenarios
from producer.background_traffic import BackgroundTraffic
from producer.events import DAY_SECONDS, SECOND, Event
from producer.ground_truth import NOISE, GroundTruth
from producer.population import Population, make_population
from producer.records import FORMATS, Record

LATE_SECONDS = (3_600, 3 * DAY_SECONDS)
# Number of recent records that a duplicate is chosen from.
DUPLICATE_WINDOW = 500


@dataclass(frozen=True)
class Plan:
    """Parameters of a generated stream.

    Attributes:
        seed: Seed of all random decisions; the population depends on the seed and its size alone.
        start: Earliest instant of an event, milliseconds since 1970.
        users: Size of the population.
        attacks: Share of the records that belong to planted attacks, from 0 to 1.
        noise: Share of the other records that are duplicate, late, broken or foreign, from 0 to 1.
        format: `login` or `sshd`.
    """

    seed: int
    start: int
    users: int = 1000
    attacks: float = 0.05
    noise: float = 0.02
    format: str = "login"

    def rng(self, purpose: str) -> Random:
        """Return the random generator of a purpose; a change in the use of one does not affect the others."""
        return Random(f"{purpose} {self.seed} {self.start}")  # noqa: S311 (reproducible on purpose)


class Stream:
    """An iterable of records in sending order, with the ground truth of the records taken so far.

    Args:
        plan: Parameters of the stream.
        population: The users.
        arrivals: Ascending instants of all records that belong to no attack.
        attacks: Attacks in order of their first instants.
    """

    def __init__(
        self, plan: Plan, population: Population, *, arrivals: Iterable[list[int]], attacks: Iterable[Attack]
    ) -> None:
        self.truth = GroundTruth(plan)
        self._noise = plan.noise
        self._format = FORMATS[plan.format]
        self._background = BackgroundTraffic(population, plan.rng("background"))
        self._rng = plan.rng("noise")
        # A generator of its own: formats have different corruptions, but the events must be the same in all formats.
        self._corruption_rng = plan.rng("corruption")
        self._arrivals = arrivals
        self._attacks = attacks
        self._recent: deque[Record] = deque(maxlen=DUPLICATE_WINDOW)

    def __iter__(self) -> Iterator[Record]:
        """Yield each record once; attacks are merged with the rest by their instants."""
        truth, random, noise, remember = self.truth, self._rng.random, self._noise, self._recent.append
        to_record = self._format.record
        attack_events = in_order(self._attacks)
        upcoming = next(attack_events, None)
        for instants in self._arrivals:
            for event in self._background.events(instants):
                at = event.at
                while upcoming is not None and upcoming[0].at <= at:
                    yield self._attack_record(*upcoming)
                    upcoming = next(attack_events, None)
                if random() < noise:
                    yield self._noise_record(event)
                else:
                    truth.background += 1
                    record = to_record(event, at)
                    remember(record)
                    yield record
        while upcoming is not None:
            yield self._attack_record(*upcoming)
            upcoming = next(attack_events, None)

    def _attack_record(self, event: Event, attack: Attack) -> Record:
        record = self._format.record(event, event.at)
        self.truth.add_attack_event(attack, record)
        return self._remember(record)

    def _noise_record(self, event: Event) -> Record:
        """Return a noise record in place of an event: derived from it, or a copy of a recent record."""
        kind = self._rng.choice(NOISE if self._recent else ("late",))
        self.truth.counts[kind] += 1
        if kind == "duplicate":
            return self._rng.choice(self._recent)
        if kind == "late":
            return self._remember(self._format.record(self._moved_back(event), event.at))
        corruptions = self._format.broken if kind == "broken" else self._format.foreign
        corrupt = self._corruption_rng.choice(list(corruptions.values()))
        return Record(event.client.key, corrupt(event), self._format.headers(event.at), None, event.at)

    def _moved_back(self, event: Event) -> Event:
        """Return the event as if it had happened hours or days before it is sent."""
        return msgspec.structs.replace(event, at=event.at - self._rng.randint(*LATE_SECONDS) * SECOND)

    def _remember(self, record: Record) -> Record:
        """Add the record to those that a duplicate is chosen from, and return it."""
        self._recent.append(record)
        return record


def batch(plan: Plan, *, events: int, end: int) -> Stream:
    """Return a stream of exactly `events` records with instants from the plan's start to `end`."""
    population = make_population(plan.seed, plan.users)
    attacks = _batch_attacks(plan, population, budget=int(events * plan.attacks), end=end)
    rest = events - sum(len(attack.events) for attack in attacks)
    arrivals = batch_arrivals(plan.rng("arrivals"), weekly_activity(population), start=plan.start, end=end, count=rest)
    return Stream(plan, population, arrivals=arrivals, attacks=attacks)


def live(plan: Plan, *, rate: float) -> Stream:
    """Return an endless stream of `rate` records a second from the plan's start."""
    population = make_population(plan.seed, plan.users)
    arrivals = live_arrivals(plan.rng("arrivals"), start=plan.start, per_second=rate * (1.0 - plan.attacks))
    attacks = _live_attacks(plan, population, per_second=rate * plan.attacks)
    return Stream(plan, population, arrivals=arrivals, attacks=attacks)


def in_order(attacks: Iterable[Attack]) -> Iterator[tuple[Event, Attack]]:
    """Yield the events of overlapping attacks in order of time; take an attack only when it begins."""
    running: list[tuple[int, int, int, Attack]] = []
    for number, attack in enumerate(attacks):
        while running and running[0][0] <= attack.events[0].at:
            yield _next_event(running)
        heapq.heappush(running, (attack.events[0].at, number, 0, attack))
    while running:
        yield _next_event(running)


def _next_event(running: list[tuple[int, int, int, Attack]]) -> tuple[Event, Attack]:
    """Remove and return the earliest event from a heap of running attacks."""
    _, number, index, attack = running[0]
    if index + 1 < len(attack.events):
        heapq.heapreplace(running, (attack.events[index + 1].at, number, index + 1, attack))
    else:
        heapq.heappop(running)
    return attack.events[index], attack


def _batch_attacks(plan: Plan, population: Population, *, budget: int, end: int) -> list[Attack]:
    """Return as many whole attacks as the budget of events allows, with all scenarios in turn."""
    rng = plan.rng("attacks")
    attacks: list[Attack] = []
    for scenario in shuffled_scenarios(rng):
        attack = scenario(rng, population, plan.start)
        budget -= len(attack.events)
        if budget < 0:
            break
        latest_delay = end - 1 - attack.events[-1].at
        attacks.append(attack.delayed(rng.randint(0, max(latest_delay, 0))))
    return sorted(attacks, key=lambda attack: attack.events[0].at)


def _live_attacks(plan: Plan, population: Population, *, per_second: float) -> Iterator[Attack]:
    """Yield attacks without end, spaced by their sizes so that their events keep the rate in the long run."""
    if per_second == 0.0:
        return
    rng = plan.rng("attacks")
    at = float(plan.start)
    for scenario in shuffled_scenarios(rng):
        attack = scenario(rng, population, 0)
        at += rng.expovariate(per_second / len(attack.events)) * SECOND
        yield attack.delayed(int(at))
