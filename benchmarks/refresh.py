"""A refresh of a few new rows in a warm process, compared with the same refresh without rules.

    python benchmarks/refresh.py --events 1000000

Refreshes with all rules and without any alternate; each adds as many events as the lake receives in a few hours. What
only one of them does is what the rules cost. It also prints the seconds of each step of a refresh with rules.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median

from harness import empty_lake, print_table, seconds_of
from lake import DAY_SECONDS, DAYS, END, SECOND, produce, produce_between

import gold.job
from bronze.stream import ingest_once
from lakehouse import steps
from lakehouse.lake import Lake
from lakehouse.session import spark_session
from loginlake.pipeline import refresh

# Each with the seconds that it may take.
CHANGES = {10_000: 20.0, 200: 8.0}
WITH_RULES, WITHOUT = "all rules", "without rules"
SAMPLE_SECONDS = 0.05


def main() -> None:
    """Print a table of seconds and one of steps."""
    arguments = _arguments()
    with empty_lake() as settings:
        lake = Lake(spark_session(settings, job="benchmark"), settings)
        produce(settings, events=arguments.events)
        ingest_once(lake)
        first = seconds_of(partial(refresh, lake))
        rows: list[tuple[object, ...]] = [(f"the first {arguments.events:,}", first, "", "")]
        batches = new_batches(lake, arguments.events)
        for events, goal in CHANGES.items():
            seconds, of_step = alternated(lake, batches, events=events, rounds=arguments.rounds)
            print_table(("step", "seconds"), [(name, total / arguments.rounds) for name, total in of_step.items()])
            without, rules = (median(seconds[name]) for name in (WITHOUT, WITH_RULES))
            rows.append((f"{events:,}, {WITHOUT}", without, "", ""))
            rows.append((f"{events:,}, {WITH_RULES}", rules, rules / without, f"≤ {goal:g} s, ≤ 1.50"))
        idle = median(seconds_of(partial(refresh, lake)) for _ in range(arguments.rounds))
        rows.append(("none", idle, "", "≤ 0.5 s"))
        print_table(("refresh of new rows", "seconds", "ratio", "goal"), rows)
        lake.spark.stop()


def new_batches(lake: Lake, per_period: int) -> Callable[[int], None]:
    """Return a function that stores so many new events in bronze, at the rate of those before and right after them."""
    seed, end = 100, END

    def store(events: int) -> None:
        nonlocal seed, end
        start, end = end, end + DAYS * DAY_SECONDS * SECOND * events // per_period
        seed += 1
        produce_between(lake.settings, events=events, seed=seed, start=start, end=end)
        ingest_once(lake)

    return store


def alternated(
    lake: Lake, store: Callable[[int], None], *, events: int, rounds: int
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return the seconds of refreshes with all rules and without any, in turn, and of each step of those with rules."""
    seconds: dict[str, list[float]] = defaultdict(list)
    of_step: dict[str, float] = defaultdict(float)
    for _ in range(rounds):
        for name in (WITH_RULES, WITHOUT):
            store(events)
            with rules_of(name), step_seconds() as steps_of_refresh:
                seconds[name].append(seconds_of(partial(refresh, lake)))
            for step, taken in steps_of_refresh.items() if name == WITH_RULES else ():
                of_step[step] += taken
            print(f"{events:,} {name}: {seconds[name][-1]:.2f}", flush=True)
    return seconds, of_step


@contextmanager
def rules_of(name: str) -> Iterator[None]:
    """Let refreshes of the block evaluate all rules, or none."""
    load = gold.job.load_rules
    if name == WITHOUT:
        gold.job.load_rules = lambda _: ()  # type: ignore[assignment,return-value]
    try:
        yield
    finally:
        gold.job.load_rules = load


@contextmanager
def step_seconds() -> Iterator[dict[str, float]]:
    """Yield how long each step has run, sampled; steps of different threads run beside each other."""
    seconds: dict[str, float] = defaultdict(float)
    ended = threading.Event()

    def sample() -> None:
        before = time.monotonic()
        while not ended.wait(SAMPLE_SECONDS):
            now = time.monotonic()
            for each in {started.name for started in tuple(steps._started.values())}:
                seconds[each] += now - before
            before = now

    sampling = threading.Thread(target=sample)
    sampling.start()
    try:
        yield seconds
    finally:
        ended.set()
        sampling.join()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
