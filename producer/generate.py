"""Generate records from a seed, a start and a few rates. Pure: no clock, no IO.

The same plan yields the same bytes in every process.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random

import msgspec

from lakehouse.errors import UsageError
from producer.arrivals import batch_arrivals, live_arrivals, weekly_activity
from producer.attacks import SCENARIOS as ATTACKS
from producer.background_traffic import BackgroundTraffic
from producer.events import DAY_SECONDS, SECOND, Event
from producer.ground_truth import NOISE, GroundTruth
from producer.long_attacks import DAYS as LONG_ATTACK_DAYS
from producer.long_attacks import SCENARIOS as LONG_ATTACKS
from producer.look_alikes import SCENARIOS as LOOK_ALIKES
from producer.planted import Planted, Scenario, delayed
from producer.population import Population, make_population
from producer.records import FORMATS, Record

LATE_SECONDS = (3_600, 3 * DAY_SECONDS)
# Number of recent records that a duplicate is chosen from.
DUPLICATE_WINDOW = 500


@dataclass(frozen=True)
class Plan:
    """Parameters of a generated stream.

    Attributes:
        seed: Seed of all random decisions, except who the users are.
        start: Earliest instant of an event, milliseconds since 1970.
        users: Size of the population.
        attacks: Share of the records that belong to planted attacks, from 0 to 1.
        look_alikes: Share of the records that belong to planted look-alikes, from 0 to 1.
        cases: A batch has each scenario at least this often, also if that takes more than these shares.
        noise: Share of the other records that are duplicate, late, broken or foreign, from 0 to 1.
        format: `login` or `sshd`.
    """

    seed: int
    start: int
    users: int = 1000
    attacks: float = 0.05
    look_alikes: float = 0.03
    cases: int = 0
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
        arrivals: Ascending instants of all records of the background traffic and the noise.
        planted: Attacks and look-alikes in order of their first instants.
    """

    def __init__(
        self, plan: Plan, population: Population, *, arrivals: Iterable[list[int]], planted: Iterable[Planted]
    ) -> None:
        self.truth = GroundTruth(plan)
        self._noise = plan.noise
        self._format = FORMATS[plan.format]
        self._background = BackgroundTraffic(population, plan.rng("background"))
        self._rng = plan.rng("noise")
        # A generator of its own: formats have different corruptions, but the events must be the same in all formats.
        self._corruption_rng = plan.rng("corruption")
        self._arrivals = arrivals
        self._planted = planted
        self._recent: deque[Record] = deque(maxlen=DUPLICATE_WINDOW)

    def __iter__(self) -> Iterator[Record]:
        """Yield each record once; planted events are merged with the rest by their instants."""
        truth, random, noise, remember = self.truth, self._rng.random, self._noise, self._recent.append
        to_record = self._format.record
        planted_events = in_order(self._planted)
        upcoming = next(planted_events, None)
        for instants in self._arrivals:
            for event in self._background.events(instants):
                at = event.at
                while upcoming is not None and upcoming[0].at <= at:
                    yield self._planted_record(*upcoming)
                    upcoming = next(planted_events, None)
                truth.last_at = at
                if random() < noise:
                    yield self._noise_record(event)
                else:
                    truth.background += 1
                    record = to_record(event, at)
                    remember(record)
                    yield record
        while upcoming is not None:
            yield self._planted_record(*upcoming)
            upcoming = next(planted_events, None)

    def _planted_record(self, event: Event, planted: Planted) -> Record:
        self.truth.last_at = event.at
        record = self._format.record(event, event.at)
        self.truth.add_planted_event(planted, record)
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
    """Return a stream of exactly `events` records with instants from the plan's start to `end`.

    Raises:
        UsageError: The planned number of cases has more events than the batch.
    """
    population = make_population(plan.users)
    plantings = list(_plantings(plan, population))
    if end - plan.start >= LONG_ATTACK_DAYS * DAY_SECONDS * SECOND:
        plantings.append(Planting(LONG_ATTACKS, 0.0, population, plan.rng("long attacks")))
    planted = sorted(
        (
            each
            for planting in plantings
            for each in planting.in_batch(events, start=plan.start, end=end, cases=plan.cases)
        ),
        key=_begin,
    )
    rest = events - sum(len(each.events) for each in planted)
    if rest < 0:
        raise UsageError(
            f"{events:,} events are too few: {plan.cases} cases of each attack and look-alike have {events - rest:,}",
            hint="Use a higher --events or a lower --cases",
        )
    arrivals = batch_arrivals(plan.rng("arrivals"), weekly_activity(population), start=plan.start, end=end, count=rest)
    return Stream(plan, population, arrivals=arrivals, planted=planted)


def live(plan: Plan, *, rate: float) -> Stream:
    """Return an endless stream of `rate` records a second from the plan's start."""
    population = make_population(plan.users)
    rest = 1.0 - plan.attacks - plan.look_alikes
    arrivals = live_arrivals(plan.rng("arrivals"), start=plan.start, per_second=rate * rest)
    planted = (planting.live(rate, start=plan.start) for planting in _plantings(plan, population))
    return Stream(plan, population, arrivals=arrivals, planted=heapq.merge(*planted, key=_begin))


def in_order(planted: Iterable[Planted]) -> Iterator[tuple[Event, Planted]]:
    """Yield the events of overlapping attacks and look-alikes in order of time; take each only when it begins."""
    running: list[tuple[int, int, int, Planted]] = []
    for number, each in enumerate(planted):
        while running and running[0][0] <= _begin(each):
            yield _next_event(running)
        heapq.heappush(running, (_begin(each), number, 0, each))
    while running:
        yield _next_event(running)


def _next_event(running: list[tuple[int, int, int, Planted]]) -> tuple[Event, Planted]:
    """Remove and return the earliest event from a heap of running attacks and look-alikes."""
    _, number, index, planted = running[0]
    if index + 1 < len(planted.events):
        heapq.heapreplace(running, (planted.events[index + 1].at, number, index + 1, planted))
    else:
        heapq.heappop(running)
    return planted.events[index], planted


@dataclass(frozen=True)
class Planting:
    """Scenarios of one kind, and how much of a stream they make up.

    Attributes:
        scenarios: At least one.
        share: Share of the records, from 0 to 1.
        population: The users.
        rng: Decides the order of the scenarios, when they happen, and their details.
    """

    scenarios: Sequence[Scenario]
    share: float
    population: Population
    rng: Random

    def in_batch(self, events: int, *, start: int, end: int, cases: int) -> Iterator[Planted]:
        """Yield each scenario in turn: `cases` times, then for as long as they stay within their share of the events.

        All happen between `start` and `end`, at random times.
        """
        budget = int(events * self.share)
        for turn in count():
            for scenario in self._shuffled():
                planted = scenario(self.rng, self.population, start)
                budget -= len(planted.events)
                if budget < 0 and turn >= cases:
                    return
                latest_delay = end - 1 - planted.events[-1].at
                yield delayed(planted, self.rng.randint(0, max(latest_delay, 0)))

    def live(self, rate: float, *, start: int) -> Iterator[Planted]:
        """Yield each scenario in turn without end, spaced by its size so that they keep their share in the long run.

        Args:
            rate: Records of the stream per second.
            start: First instant of the stream.
        """
        if self.share == 0.0:
            return
        at = float(start)
        while True:
            for scenario in self._shuffled():
                planted = scenario(self.rng, self.population, 0)
                at += self.rng.expovariate(rate * self.share / len(planted.events)) * SECOND
                yield delayed(planted, int(at))

    def _shuffled(self) -> Sequence[Scenario]:
        return self.rng.sample(self.scenarios, len(self.scenarios))


def _plantings(plan: Plan, population: Population) -> tuple[Planting, ...]:
    return (
        Planting(ATTACKS, plan.attacks, population, plan.rng("attacks")),
        Planting(LOOK_ALIKES, plan.look_alikes, population, plan.rng("look-alikes")),
    )


def _begin(planted: Planted) -> int:
    return planted.events[0].at
