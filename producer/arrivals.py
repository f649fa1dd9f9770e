"""When things happen: Poisson arrivals, weighted by the hours at which the population is awake."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from random import Random

from producer.events import SECOND
from producer.population import HOURS_OF_WEEK, Population

HOUR = 3_600 * SECOND
# 1970 began on a Thursday.
_HOURS_TO_THURSDAY = 72


def hour_of_week(at: int) -> int:
    """Hours since Monday 00:00 UTC, of an instant in milliseconds."""
    return (at // HOUR + _HOURS_TO_THURSDAY) % HOURS_OF_WEEK


def weekly_activity(population: Population) -> list[float]:
    """Activity of all users together, per UTC hour of the week."""
    return [sum(crew.activity[hour] * len(crew.users) for crew in population.crews) for hour in range(HOURS_OF_WEEK)]


def spread(rng: Random, activity: list[float], *, start: int, end: int, count: int) -> Iterator[list[int]]:
    """Exactly `count` instants in `[start, end)`, rising, as dense as the week's activity; a list per clock hour.

    A Poisson process given its count is that many independent draws from its intensity: each hour takes its
    binomial part of those that are left, spread evenly over the hour.
    """
    hours = _hours(activity, start=start, end=end)
    ahead = list(accumulate(weight for _, _, weight in reversed(hours)))
    for (begins, ends, weight), weight_ahead in zip(hours, reversed(ahead), strict=True):
        taken = binomial(rng, count, chance=weight / weight_ahead)
        count -= taken
        yield sorted([begins + int(rng.random() * (ends - begins)) for _ in range(taken)])


def binomial(rng: Random, trials: int, *, chance: float) -> int:
    """How many of so many trials succeed, each with this chance.

    Exact, in steps that grow with the logarithm of the trials: the median of the trials' uniform numbers is drawn
    from its beta distribution, which settles one half of them (Relles 1972, A simple algorithm for generating
    binomial random variables when N is large).
    """
    successes = 0
    while trials > 16:
        middle = trials // 2 + 1
        median = rng.betavariate(middle, trials + 1 - middle)
        if median <= chance:
            successes += middle
            trials -= middle
            chance = (chance - median) / (1.0 - median)
        else:
            trials = middle - 1
            chance /= median
    return successes + sum(rng.random() < chance for _ in range(trials))


def steady(rng: Random, *, start: int, per_second: float) -> Iterator[list[int]]:
    """Instants from `start` on without end, rising, as a Poisson process of that rate; a list per second."""
    at = float(start)
    second = start
    while True:
        second += SECOND
        instants = []
        while at < second:
            instants.append(int(at))
            at += rng.expovariate(per_second) * SECOND
        yield instants


def _hours(activity: list[float], *, start: int, end: int) -> list[tuple[int, int, float]]:
    """Begin, end and weight of every clock hour of the span; the first and last may be parts."""
    hours, begins = [], start
    while begins < end:
        ends = min((begins // HOUR + 1) * HOUR, end)
        hours.append((begins, ends, activity[hour_of_week(begins)] * (ends - begins) / HOUR))
        begins = ends
    return hours
