"""Broker, producer and `loginlake up` as the soak kills them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from lakehouse import kafka
from lakehouse.errors import LakehouseError
from lakehouse.offsets import Offsets
from lakehouse.settings import Settings
from loginlake.broker import Broker, embedded_broker
from serving.store import Store
from tests.crash.crash_points import LakeFiles, Point
from tests.crash.oracle import acknowledged, ends
from tests.crash.processes import child_of, is_free, kill, kill_at, started
from tests.waiting import PATIENCE_SECONDS, wait_until

RATE = "500"
# Kills at a random time fall into bronze commits and a refresh.
SPAN_SECONDS = 15.0
PAUSE_SECONDS = 5.0
LOOK_SECONDS = 0.5


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
            print(f"{now()}  up had ended by itself and is started again", flush=True)
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

    def _started_everything(self) -> tuple[subprocess.Popen[bytes], LakeFiles]:
        sight = LakeFiles(self.settings)
        return started(self.settings, "up", output=self.folder / "up.log"), sight

    def _restart(self) -> None:
        """Starts `up` again; its API's port is free as soon as that has noticed the end of the one before."""
        wait_until(lambda: is_free(self.settings.port))
        self.everything, self.sight = self._started_everything()


def now() -> str:
    """The time of day, for a line of progress."""
    return time.strftime("%H:%M:%S")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE_SECONDS)
