"""The processes that a user runs (broker, producer and `loginlake up`), as the soak kills and restarts them."""

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
from lakehouse.progress import Offsets
from lakehouse.settings import Settings
from loginlake.broker import Broker, embedded_broker
from serving.store import Store
from tests.crash.crash_points import CrashPoint, LakeFiles
from tests.crash.oracle import acknowledged, end_offsets
from tests.crash.processes import child_pid, is_port_free, kill, start, stop_at
from tests.waiting import TIMEOUT_SECONDS, wait_until

# Long enough that kills at a random time hit bronze commits and a refresh.
MAX_UPTIME_SECONDS = 15.0
PAUSE_SECONDS = 5.0
POLL_SECONDS = 0.5


class Deployment:
    """A broker, a producer and `loginlake up`. Each `kill_` method kills one, restarts it, and returns the kill time.

    Attributes:
        settings: Settings of all processes.
        folder: Folder of ledgers and logs.
        rate: Records a second that the producer sends.
        ledgers: One ledger for each start of the producer.
    """

    def __init__(self, settings: Settings, folder: Path, *, rate: int) -> None:
        self.settings = settings
        self.folder = folder
        self.rate = rate
        self.ledgers: list[Path] = []
        self._store = Store(settings)
        self._brokers = ExitStack()
        self._broker = self._start_broker()
        self._producer = self._start_producer()
        self._up, self._files = self._start_up()

    def kill_at(self, point: CrashPoint) -> float:
        """Kill `up` at a crash point."""
        stop_at(point, self._up, self._files)
        killed_at = kill(self._up)
        self._restart_up()
        return killed_at

    def kill_at_random_time(self, rng: random.Random) -> float:
        """Kill `up` after a random time."""
        time.sleep(rng.uniform(0, MAX_UPTIME_SECONDS))
        killed_at = kill(self._up)
        self._restart_up()
        return killed_at

    def kill_api(self) -> float:
        """Kill the API process, whereupon `up` ends by itself."""
        os.kill(child_pid(self._up, "-m", "serving"), signal.SIGKILL)
        killed_at = time.monotonic()
        wait_until(lambda: self._up.poll() is not None)
        self._restart_up()
        return killed_at

    def kill_broker(self) -> float:
        """Kill the broker."""
        self._broker.process.kill()
        self._broker.process.wait()
        killed_at = time.monotonic()
        self._broker = self._start_broker()
        return killed_at

    def pause_broker(self) -> float:
        """Stop the broker for PAUSE_SECONDS and continue it."""
        self._broker.process.send_signal(signal.SIGSTOP)
        stopped_at = time.monotonic()
        time.sleep(PAUSE_SECONDS)
        self._broker.process.send_signal(signal.SIGCONT)
        return stopped_at

    def kill_producer(self) -> float:
        """Kill the producer while records are in flight."""
        killed_at = kill(self._producer)
        self._producer = self._start_producer()
        return killed_at

    def wait_for_first_snapshot(self) -> None:
        """Wait until a snapshot is published."""
        wait_until(lambda: self._covers({(self.settings.topic, 0): 1}), self._up, poll_seconds=POLL_SECONDS)

    def covers_acknowledged(self) -> Callable[[], bool]:
        """Return a condition: a snapshot covers everything that is acknowledged at the time of this call."""
        return partial(self._covers_with_up, end_offsets(acknowledged(*self.ledgers)))

    def acknowledges_more(self) -> Callable[[], bool]:
        """Return a condition: more records are acknowledged than at the time of this call."""
        bytes_now = self._ledger_bytes()
        return lambda: self._ledger_bytes() > bytes_now

    def settle(self) -> None:
        """End the producer after it has delivered its records, and wait until a snapshot covers all of Kafka."""
        _end(self._producer)
        ends = {partition: bounds.end for partition, bounds in kafka.partition_bounds(self.settings).items()}
        wait_until(lambda: self._covers_with_up(ends), poll_seconds=POLL_SECONDS)

    def end(self) -> None:
        """End all processes, the broker last."""
        with self._brokers:
            for process in (self._producer, self._up):
                _end(process)

    def _covers(self, ends: Offsets) -> bool:
        """True if a snapshot covers these end offsets."""
        try:
            offsets = self._store.snapshot().offsets
        except LakehouseError:  # no snapshot yet
            return False
        return all(offsets.get(partition, 0) >= end for partition, end in ends.items())

    def _covers_with_up(self, ends: Offsets) -> bool:
        """Restart `up` if it has ended by itself; then return whether a snapshot covers these end offsets."""
        if self._up.poll() is not None:
            print(f"{now()}  up ended by itself and is restarted", flush=True)
            self._restart_up()
        return self._covers(ends)

    def _ledger_bytes(self) -> int:
        return sum(ledger.stat().st_size for ledger in self.ledgers if ledger.exists())

    def _start_broker(self) -> Broker:
        return self._brokers.enter_context(embedded_broker(self.settings))

    def _start_producer(self) -> subprocess.Popen[bytes]:
        number = len(self.ledgers)
        self.ledgers.append(self.folder / f"ledger-{number}.ndjson")
        arguments = ("--rate", str(self.rate), "--seed", str(number), "--ledger", str(self.ledgers[-1]))
        return start(self.settings, "produce", "generate", *arguments, output=self.folder / "produce.log")

    def _start_up(self) -> tuple[subprocess.Popen[bytes], LakeFiles]:
        files = LakeFiles(self.settings)
        return start(self.settings, "up", output=self.folder / "up.log"), files

    def _restart_up(self) -> None:
        """Start `up` again once the API of the previous one has released its port."""
        wait_until(lambda: is_port_free(self.settings.port))
        self._up, self._files = self._start_up()


def now() -> str:
    """Return the local time of day for a progress line."""
    return time.strftime("%H:%M:%S")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(TIMEOUT_SECONDS)
