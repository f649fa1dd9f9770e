"""Kills under load for as long as you like, at named points and random times; then every record is counted.

    python -m tests.crash.soak --minutes 60 --seed 7

A broker, a producer of 500 records a second and `loginlake up` run as they do for a user, in a folder of their own.
After each kill what was killed is started again, and nothing else is done. Two series of kills go on side by side, so
that those of one fall into recoveries from the other. `up` has recovered when a snapshot covers all that had been
acknowledged; the broker and the producer have when records are acknowledged again. Exits 1 where a record is lost, one
stands twice, or verify fails.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import mkdtemp

from lakehouse.settings import Settings
from loginlake.verify import verify
from serving.store import Store
from tests.conftest import a_free_port
from tests.crash.crash_points import POINTS
from tests.crash.harness import LOOK_SECONDS, PAUSE_SECONDS, Stage, now
from tests.crash.oracle import acknowledged, tally
from tests.waiting import wait_until

# Between the broker or the producer having recovered and the next kill of one of them, at most.
CALM_SECONDS = 60.0


@dataclass(frozen=True)
class Fault:
    """Something that is done to a process.

    Attributes:
        name: What the table calls it.
        inject: Does it, and has what was killed running again at its end; gives the moment of the kill.
    """

    name: str
    inject: Callable[[], float]


@dataclass(frozen=True)
class Recovery:
    """How long it took from a fault until all was well again."""

    fault: str
    seconds: float


def main() -> None:
    """Kills for so many minutes, prints the table and exits; what went wrong is left to be looked at."""
    wanted = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(mkdtemp(prefix="loginlake-soak-"))
    print(f"seed {wanted.seed}: kills for {wanted.minutes:g} minutes, in {folder}", flush=True)
    with running_stage(folder) as stage:
        wait_until(lambda: stage.covers({(stage.settings.topic, 0): 1}), stage.everything, look_seconds=LOOK_SECONDS)
        whole = is_whole(stage, soak(stage, seed=wanted.seed, seconds=wanted.minutes * 60))
    if not whole:
        sys.exit(f"The lake, the ledgers and what the processes said are left in {folder}")
    shutil.rmtree(folder)


@contextmanager
def running_stage(folder: Path) -> Iterator[Stage]:
    """All processes, for the block."""
    stage = Stage(_settings(folder), folder)
    try:
        yield stage
    finally:
        stage.end()


def soak(stage: Stage, *, seed: int, seconds: float) -> list[Recovery]:
    """Injects both series of faults until the time is over; gives the recoveries in the order of their ends."""
    ends_at, stop, recoveries = time.monotonic() + seconds, threading.Event(), list[Recovery]()

    def inject(fault: Fault, until_recovered: Callable[[], Callable[[], bool]]) -> None:
        injected_at = fault.inject()
        has_recovered = until_recovered()
        wait_until(lambda: stop.is_set() or has_recovered(), look_seconds=LOOK_SECONDS)
        recoveries.append(Recovery(fault.name, time.monotonic() - injected_at))
        print(f"{now()}  {len(recoveries):>4}  {fault.name:<26} {recoveries[-1].seconds:6.1f} s", flush=True)

    def kill_up() -> None:
        with setting_if_failed(stop):
            for fault in faults_of_up(stage, random.Random(f"{seed} up")):
                if stop.is_set() or time.monotonic() > ends_at:
                    return
                inject(fault, stage.until_covered)

    def kill_around_it() -> None:
        chance = random.Random(f"{seed} around it")
        for fault in faults_around_it(stage, chance):
            if stop.wait(chance.uniform(0, CALM_SECONDS)) or time.monotonic() > ends_at:
                return
            inject(fault, stage.until_acknowledged)

    with ThreadPoolExecutor(1) as threads, setting_if_failed(stop):
        beside = threads.submit(kill_up)
        kill_around_it()  # in this thread: a broker ends with the thread that started it
        beside.result()
    return recoveries


@contextmanager
def setting_if_failed(stop: threading.Event) -> Iterator[None]:
    """Sets the event where the block fails or is interrupted."""
    try:
        yield
    except BaseException:
        stop.set()
        raise


def faults_of_up(stage: Stage, chance: random.Random) -> Iterator[Fault]:
    """Those of Spark and of the API in an order of chance, again and again."""
    faults = [
        *(Fault(point.name, partial(stage.kill_at, point)) for point in POINTS),
        Fault("API", stage.kill_api),
        *[Fault("Spark at a random time", partial(stage.kill_at_random, chance))] * 2,
    ]
    while True:
        yield from chance.sample(faults, len(faults))


def faults_around_it(stage: Stage, chance: random.Random) -> Iterator[Fault]:
    """Those of the broker and of the producer in an order of chance, again and again."""
    faults = [
        *[Fault("broker", stage.kill_broker)] * 2,
        *[Fault("producer", stage.kill_producer)] * 2,
        Fault(f"broker, stopped for {PAUSE_SECONDS:g} s", stage.stop_broker),
    ]
    while True:
        yield from chance.sample(faults, len(faults))


def is_whole(stage: Stage, recoveries: list[Recovery]) -> bool:
    """Lets the lake catch up, prints what came of the kills, and gives whether all is there once."""
    stage.settle()
    tallied = tally(stage.settings, acknowledged(*stage.ledgers))
    report = verify(stage.settings, Store(stage.settings))
    print(f"\n{'killed':<26} {'kills':>5} {'median s':>9} {'worst s':>8}")
    seconds_of = defaultdict(list)
    for recovery in sorted(recoveries, key=lambda recovery: recovery.fault):
        seconds_of[recovery.fault].append(recovery.seconds)
    for name, seconds in seconds_of.items():
        print(f"{name:<26} {len(seconds):>5} {median(seconds):>9.1f} {max(seconds):>8.1f}")
    print(f"\nacked {tallied.acked:,}, lost {tallied.unread:,}, doubled {tallied.doubled:,}")
    if not tallied.is_complete:
        print(tallied)
    for check in report.checks:
        for fault in check.details:
            print(f"{check.claim}: {fault}")
    print(f"verify: {'ok' if report.ok else 'the claims of the lake do not hold'}", flush=True)
    return tallied.acked > 0 and tallied.is_complete and report.ok


def _settings(folder: Path) -> Settings:
    return Settings(
        root=str(folder / "lake"),
        state=folder / "state",
        kafka=f"127.0.0.1:{a_free_port()}",
        port=a_free_port(),
        refresh_interval_seconds=1.0,
        _env_file=None,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    return parser.parse_args()


if __name__ == "__main__":
    main()
