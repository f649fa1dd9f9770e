"""Arrival times: a Poisson process, weighted by the hours in which the users are active."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from random import Random

from producer.events import SECOND
from producer.population import HOURS_OF_WEEK, Population

HOUR = 3_600 * SECOND
# 1970-01-01 was a Thursday.
_HOURS_FROM_MONDAY_TO_THURSDAY = 72


def hour_of_week(at: int) -> int:
    """Return the hours since Monday 00:00 UTC of an instant in milliseconds."""
    return (at // HOUR + _HOURS_FROM_MONDAY_TO_THURSDAY) % HOURS_OF_WEEK


def weekly_activity(population: Population) -> list[float]:
    """Return the activity of all users together for each UTC hour of the week."""
    return [
        sum(cohort.activity[hour] * len(cohort.users) for cohort in population.cohorts) for hour in range(HOURS_OF_WEEK)
    ]


def batch_arrivals(rng: Random, activity: list[float], *, start: int, end: int, count: int) -> Iterator[list[int]]:
    """Yield exactly `count` instants in `[start, end)`, ascending, one list per clock hour.

    Instants are as dense as the week's activity. A Poisson process with a known count is that many independent draws
    from its intensity: each hour gets its binomial share of the remaining draws, spread uniformly over the hour.
    """
    hours = _weighted_hours(activity, start=start, end=end)
    remaining_weights = list(accumulate(weight for _, _, weight in reversed(hours)))
    for (hour_start, hour_end, weight), remaining in zip(hours, reversed(remaining_weights), strict=True):
        drawn = binomial(rng, count, probability=weight / remaining)
        count -= drawn
        yield sorted([hour_start + int(rng.random() * (hour_end - hour_start)) for _ in range(drawn)])


def binomial(rng: Random, trials: int, *, probability: float) -> int:
    """Return the number of successes among independent trials.

    The result is exact and takes a number of steps logarithmic in the trials: the median of the trials' uniform
    numbers is drawn from its beta distribution, which decides one half of them (Relles 1972, A simple algorithm for
    generating binomial random variables when N is large).
    """
    successes = 0
    while trials > 16:
        middle = trials // 2 + 1
        median = rng.betavariate(middle, trials + 1 - middle)
        if median <= probability:
            successes += middle
            trials -= middle
            probability = (probability - median) / (1.0 - median)
        else:
            trials = middle - 1
            probability /= median
    return successes + sum(rng.random() < probability for _ in range(trials))


def live_arrivals(rng: Random, *, start: int, per_second: float) -> Iterator[list[int]]:
    """Yield the instants of an endless Poisson process of that rate, ascending, one list per second."""
    at = float(start)
    second = start
    while True:
        second += SECOND
        instants = []
        while at < second:
            instants.append(int(at))
            at += rng.expovariate(per_second) * SECOND
        yield instants


def _weighted_hours(activity: list[float], *, start: int, end: int) -> list[tuple[int, int, float]]:
    """Return the start, end and weight of every clock hour in the range; the first and last may be partial."""
    hours, hour_start = [], start
    while hour_start < end:
        hour_end = min((hour_start // HOUR + 1) * HOUR, end)
        hours.append((hour_start, hour_end, activity[hour_of_week(hour_start)] * (hour_end - hour_start) / HOUR))
        hour_start = hour_end
    return hours
