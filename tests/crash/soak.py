"""Kill processes under load for some minutes, at crash points and at random times; then count every record.

    python -m tests.crash.soak --minutes 60 --seed 7

A broker, a producer of 500 records a second and `loginlake up` run as a user runs them, in a temporary folder. A killed
process is restarted, and nothing else is repaired. Two series of kills run concurrently, so that kills of one series
hit recoveries from the other. `up` has recovered when a snapshot covers everything acknowledged before; the broker and
the producer have recovered when records are acknowledged again. Exits 1 if a record is lost or duplicated, or if
verify fails.
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
from tests.crash.crash_points import CRASH_POINTS
from tests.crash.harness import PAUSE_SECONDS, POLL_SECONDS, Deployment, now
from tests.crash.oracle import acknowledged, count_positions
from tests.waiting import wait_until

# Records a second.
RATE = 500
# The longest pause between a recovery of the broker or the producer and the next fault of one of them.
MAX_PAUSE_SECONDS = 60.0


@dataclass(frozen=True)
class Fault:
    """A fault to inject.

    Attributes:
        name: Name in the printed table.
        inject: Kills and restarts a process; returns the time of the kill.
    """

    name: str
    inject: Callable[[], float]


@dataclass(frozen=True)
class Recovery:
    """The time from a fault to the recovery from it."""

    fault: str
    seconds: float


def main() -> None:
    """Run the soak from the command line; keep its folder if it fails."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(mkdtemp(prefix="loginlake-soak-"))
    print(f"seed {arguments.seed}: kills for {arguments.minutes:g} minutes, in {folder}", flush=True)
    if not soak(folder, seed=arguments.seed, seconds=arguments.minutes * 60, rate=RATE):
        sys.exit(f"The lake, the ledgers and the logs are kept in {folder}")
    shutil.rmtree(folder)


def soak(folder: Path, *, seed: int, seconds: float, rate: int) -> bool:
    """Start all processes, inject faults for some seconds, and return whether no record is lost or duplicated."""
    with running_deployment(folder, rate=rate) as deployment:
        deployment.wait_for_first_snapshot()
        recoveries = inject_faults(deployment, seed=seed, seconds=seconds)
        deployment.settle()
        print_recoveries(recoveries)
        return is_complete(deployment)


@contextmanager
def running_deployment(folder: Path, *, rate: int) -> Iterator[Deployment]:
    """Run all processes for the block."""
    deployment = Deployment(_settings(folder), folder, rate=rate)
    try:
        yield deployment
    finally:
        deployment.end()


def inject_faults(deployment: Deployment, *, seed: int, seconds: float) -> list[Recovery]:
    """Inject both series of faults until the time is over, and return the recoveries in order."""
    ends_at, stop, recoveries = time.monotonic() + seconds, threading.Event(), list[Recovery]()

    def inject(fault: Fault, recovery_condition: Callable[[], Callable[[], bool]]) -> None:
        injected_at = fault.inject()
        has_recovered = recovery_condition()
        wait_until(lambda: stop.is_set() or has_recovered(), poll_seconds=POLL_SECONDS)
        recoveries.append(Recovery(fault.name, time.monotonic() - injected_at))
        print(f"{now()}  {len(recoveries):>4}  {fault.name:<26} {recoveries[-1].seconds:6.1f} s", flush=True)

    def inject_into_up() -> None:
        with setting_on_failure(stop):
            for fault in up_faults(deployment, random.Random(f"{seed} up")):
                if stop.is_set() or time.monotonic() > ends_at:
                    return
                inject(fault, deployment.covers_acknowledged)

    def inject_into_kafka() -> None:
        rng = random.Random(f"{seed} kafka")
        for fault in kafka_faults(deployment, rng):
            if stop.wait(rng.uniform(0, min(MAX_PAUSE_SECONDS, seconds / 2))) or time.monotonic() > ends_at:
                return
            inject(fault, deployment.acknowledges_more)

    with ThreadPoolExecutor(1) as threads, setting_on_failure(stop):
        up_series = threads.submit(inject_into_up)
        inject_into_kafka()  # in this thread: a broker ends with the thread that started it
        up_series.result()
    return recoveries


@contextmanager
def setting_on_failure(stop: threading.Event) -> Iterator[None]:
    """Set the event if the block raises."""
    try:
        yield
    except BaseException:
        stop.set()
        raise


def up_faults(deployment: Deployment, rng: random.Random) -> Iterator[Fault]:
    """Yield the faults of Spark and of the API in random order, without end."""
    faults = [
        *(Fault(point.name, partial(deployment.kill_at, point)) for point in CRASH_POINTS),
        Fault("API", deployment.kill_api),
        *[Fault("Spark at a random time", partial(deployment.kill_at_random_time, rng))] * 2,
    ]
    while True:
        yield from rng.sample(faults, len(faults))


def kafka_faults(deployment: Deployment, rng: random.Random) -> Iterator[Fault]:
    """Yield the faults of the broker and of the producer in random order, without end."""
    faults = [
        *[Fault("broker", deployment.kill_broker)] * 2,
        *[Fault("producer", deployment.kill_producer)] * 2,
        Fault(f"broker, paused for {PAUSE_SECONDS:g} s", deployment.pause_broker),
    ]
    while True:
        yield from rng.sample(faults, len(faults))


def print_recoveries(recoveries: list[Recovery]) -> None:
    """Print the number and the duration of the recoveries for each fault."""
    print(f"\n{'fault':<26} {'kills':>5} {'median s':>9} {'worst s':>8}")
    seconds_by_fault = defaultdict(list)
    for recovery in sorted(recoveries, key=lambda recovery: recovery.fault):
        seconds_by_fault[recovery.fault].append(recovery.seconds)
    for name, seconds in seconds_by_fault.items():
        print(f"{name:<26} {len(seconds):>5} {median(seconds):>9.1f} {max(seconds):>8.1f}")


def is_complete(deployment: Deployment) -> bool:
    """Print how the lake compares with the ledgers, and return whether it is complete and verify succeeds."""
    counts = count_positions(deployment.settings, acknowledged(*deployment.ledgers))
    report = verify(deployment.settings, Store(deployment.settings))
    print(
        f"\nacknowledged {counts.acknowledged:,}, lost {counts.missing_in_bronze:,}, duplicated {counts.duplicated:,}"
    )
    if not counts.is_complete:
        print(counts)
    for check in report.checks:
        for fault in check.details:
            print(f"{check.claim}: {fault}")
    print(f"verify: {'ok' if report.ok else 'failed'}", flush=True)
    return counts.acknowledged > 0 and counts.is_complete and report.ok


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
