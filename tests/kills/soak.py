"""Kills under load for as long as you like, at named points and random times; then every record is counted.

    python -m tests.kills.soak --minutes 60 --seed 7

A broker, a producer of 500 records a second and `loginlake up` run as they do for a user, in a folder of their own.
After each kill what was killed is started again, and nothing else is done. Two series of kills go on side by side, so
that those of one fall into recoveries from the other. `up` has recovered when a snapshot covers all that had been
acknowledged; the broker and the producer have when records are acknowledged again. Exits 1 where a record is lost, one
stands twice, or verify fails.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import mkdtemp

from lakehouse import kafka
from lakehouse.errors import LakehouseError
from lakehouse.offsets import Offsets
from lakehouse.settings import Settings
from loginlake.broker import Broker, embedded_broker
from loginlake.verify import verify
from serving.store import Store
from tests.conftest import a_free_port
from tests.kills.oracle import acknowledged, ends, tally
from tests.kills.points import POINTS, Point, Sight
from tests.kills.processes import child_of, is_free, kill, kill_at, started
from tests.waiting import PATIENCE_SECONDS, wait_until

RATE = "500"
# Kills at a random time fall into bronze commits and a refresh.
SPAN_SECONDS = 15.0
PAUSE_SECONDS = 5.0
# Between the broker or the producer having recovered and the next kill of one of them, at most.
CALM_SECONDS = 60.0
LOOK_SECONDS = 0.5


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


class Stage:
    """Broker, producer and `loginlake up`, each of which can be killed and started again."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.ledgers: list[Path] = []
        self._store = Store(settings)
        self._brokers = ExitStack()
        self.broker = self._started_broker()
        self.producer = self._started_producer()
        self.everything, self.sight = self._started_everything()

    def kill_at(self, point: Point) -> float:
        """Kills Spark at the point."""
        killed_at = kill_at(point, self.everything, self.sight)
        self._restart()
        return killed_at

    def kill_at_random(self, chance: random.Random) -> float:
        """Kills Spark at any moment."""
        time.sleep(chance.uniform(0, SPAN_SECONDS))
        killed_at = kill(self.everything)
        self._restart()
        return killed_at

    def kill_api(self) -> float:
        """Kills the API, at which `up` ends by itself."""
        os.kill(child_of(self.everything, "-m", "serving"), signal.SIGKILL)
        killed_at = time.monotonic()
        wait_until(lambda: self.everything.poll() is not None)
        self._restart()
        return killed_at

    def kill_broker(self) -> float:
        """Kills the broker."""
        self.broker.process.kill()
        self.broker.process.wait()
        killed_at = time.monotonic()
        self.broker = self._started_broker()
        return killed_at

    def stop_broker(self) -> float:
        """Lets the broker stand still for a while."""
        self.broker.process.send_signal(signal.SIGSTOP)
        stopped_at = time.monotonic()
        time.sleep(PAUSE_SECONDS)
        self.broker.process.send_signal(signal.SIGCONT)
        return stopped_at

    def kill_producer(self) -> float:
        """Kills the producer with records in flight."""
        killed_at = kill(self.producer)
        self.producer = self._started_producer()
        return killed_at

    def until_covered(self) -> Callable[[], bool]:
        """Whether a snapshot covers all that is acknowledged now; an `up` that ended by itself is started again."""
        acked = ends(acknowledged(*self.ledgers))
        return partial(self.covers_with_up, acked)

    def until_acknowledged(self) -> Callable[[], bool]:
        """Whether more is acknowledged than now."""
        so_far = self._acknowledged_bytes()
        return lambda: self._acknowledged_bytes() > so_far

    def covers(self, acked: Offsets) -> bool:
        """True where a snapshot covers these offsets."""
        try:
            offsets = self._store.snapshot().offsets
        except LakehouseError:  # none yet
            return False
        return all(offsets.get(at, 0) >= end for at, end in acked.items())

    def covers_with_up(self, acked: Offsets) -> bool:
        """The same; should `up` have ended by itself it is started again."""
        if self.everything.poll() is not None:
            print(f"{_now()}  up had ended by itself and is started again", flush=True)
            self._restart()
        return self.covers(acked)

    def settle(self) -> None:
        """Asks the producer to deliver what it has and end, then waits until a snapshot covers all that Kafka holds."""
        _end(self.producer)
        held = {at: bounds.end for at, bounds in kafka.partition_bounds(self.settings).items()}
        wait_until(lambda: self.covers_with_up(held), look_seconds=LOOK_SECONDS)

    def end(self) -> None:
        """Asks all to end, the broker last."""
        with self._brokers:
            for process in (self.producer, self.everything):
                _end(process)

    def _acknowledged_bytes(self) -> int:
        return sum(ledger.stat().st_size for ledger in self.ledgers if ledger.exists())

    def _started_broker(self) -> Broker:
        return self._brokers.enter_context(embedded_broker(self.settings))

    def _started_producer(self) -> subprocess.Popen[bytes]:
        number = len(self.ledgers)
        self.ledgers.append(self.folder / f"ledger-{number}.ndjson")
        words = ("--rate", RATE, "--seed", str(number), "--ledger", str(self.ledgers[-1]))
        return started(self.settings, "produce", "generate", *words, output=self.folder / "produce.log")

    def _started_everything(self) -> tuple[subprocess.Popen[bytes], Sight]:
        sight = Sight(self.settings)
        return started(self.settings, "up", output=self.folder / "up.log"), sight

    def _restart(self) -> None:
        """Starts `up` again; its API's port is free as soon as that has noticed the end of the one before."""
        wait_until(lambda: is_free(self.settings.port))
        self.everything, self.sight = self._started_everything()


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
        print(f"{_now()}  {len(recoveries):>4}  {fault.name:<26} {recoveries[-1].seconds:6.1f} s", flush=True)

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
        for fault in check.named:
            print(f"{check.claim}: {fault}")
    print(f"verify: {'ok' if report.ok else 'the claims of the lake do not hold'}", flush=True)
    return tallied.acked > 0 and tallied.is_complete and report.ok


def _settings(folder: Path) -> Settings:
    return Settings(
        root=str(folder / "lake"),
        state=folder / "state",
        kafka=f"127.0.0.1:{a_free_port()}",
        port=a_free_port(),
        refresh_every=1.0,
        _env_file=None,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE_SECONDS)


def _now() -> str:
    return time.strftime("%H:%M:%S")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    return parser.parse_args()


if __name__ == "__main__":
    main()
