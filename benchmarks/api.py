"""The REST API, compared with a bare FastAPI application in the same run: publications, probes, latency.

    python benchmarks/api.py [--checkout ../another-clone]

Two lakes are written by delta-rs. One has 43,200 snapshots (30 days, one a minute): how long does the first answer
after a publication take, compared with any other? The other has 5,000 files: how long do answers take while four
clients poll /readyz? The floor is a FastAPI route that returns a constant.

The API runs as a process of its own, from this checkout or another one, and is only asked over HTTP.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from harness import free_port, print_table

from gold.transforms.base import pair_activity_hourly
from gold.transforms.metrics import metric_rows
from lakehouse.settings import Settings
from lakehouse.tables.gold import DETECTIONS, RESTATEMENTS, SNAPSHOTS
from lakehouse.tables.metrics import IP_ACTIVITY, PAIR_ACTIVITY, STORED_METRICS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
SNAPSHOTS_PER_FILE = 1_440  # maintenance compacts the publications of a day
METRIC = "/v1/metrics/ip_activity?every=day&limit=5"
PATHS = {
    "the default metric, 100 rows": "/v1/metrics/ip_activity",
    "limit=5": METRIC,
    "limit=5 by the hour, from the base": "/v1/metrics/ip_activity?every=hour&limit=5",
    "/readyz": "/readyz",
}
REQUESTS = 300
READY_SECONDS = 120
POLLERS = 4

HELLO = """
import sys, uvicorn
from fastapi import FastAPI
app = FastAPI()
@app.get("/")
def hello():
    return {"hello": "world"}
uvicorn.run(app, port=int(sys.argv[1]), log_level="critical")
"""
# Polls /readyz without end: port, seconds between two requests.
POLLER = """
import sys, time
from http.client import HTTPConnection
connection = HTTPConnection("127.0.0.1", int(sys.argv[1]))
while True:
    connection.request("GET", "/readyz")
    connection.getresponse().read()
    time.sleep(float(sys.argv[2]))
"""


@dataclass(frozen=True)
class Client:
    """A connection to a server that stays open."""

    connection: HTTPConnection

    def get(self, path: str, **headers: str) -> tuple[float, int, Any]:
        """Return the seconds until the answer is complete, its status and its headers."""
        started = time.perf_counter()
        self.connection.request("GET", path, headers=headers)
        answer = self.connection.getresponse()
        answer.read()
        return time.perf_counter() - started, answer.status, answer.headers

    def seconds(self, path: str, *, times: int = REQUESTS, **headers: str) -> list[float]:
        """Return how long each of several answers took; the first ones, which warm caches up, are left out."""
        self.connection.close()  # uvicorn closes idle connections after some seconds
        return [self.get(path, **headers)[0] for _ in range(times + 10)][10:]


def main() -> None:
    """Print one table for publications, one for probes, one for latency."""
    arguments = _arguments()
    with TemporaryDirectory(prefix="loginlake-bench-") as folder, served_hello() as floor_client:
        publications(Path(folder) / "snapshots", arguments, hello=floor_client)
        probes(Path(folder) / "files", arguments, hello=floor_client)


def publications(folder: Path, arguments: argparse.Namespace, *, hello: Client) -> None:
    """Time answers around publications, and answers between them."""
    lake = WrittenLake(Settings(root=str(folder), _env_file=None))
    lake.write(days=30, addresses=200)
    lake.publish_many(arguments.snapshots)
    with served(arguments.checkout, folder) as client:
        floor, others = median(hello.seconds("/")), median(client.seconds(METRIC))
        firsts = [first_answer(client, lake) for _ in range(arguments.publications)]
        answers = (
            ("any other answer", others, ""),
            ("the first after a publication, median", median(firsts), "≤ 2"),
            ("the first after a publication, slowest", max(firsts), ""),
        )
        print_table(
            (f"{arguments.snapshots:,} snapshots", "seconds", "x hello", "x other", "goal"),
            [(name, _precise(each), each / floor, each / others, goal) for name, each, goal in answers],
        )
        latency(client, hello=hello)


def first_answer(client: Client, lake: WrittenLake) -> float:
    """Publish, ask until the new snapshot answers, and return the slower of the first answer and the first new one."""
    published = str(lake.publish())
    client.connection.close()
    first, _, headers = client.get(METRIC)
    seconds, deadline = first, time.monotonic() + READY_SECONDS
    while headers["Loginlake-Snapshot"] != published:
        if time.monotonic() > deadline:
            raise SystemExit("the API does not serve the publication")
        time.sleep(0.01)
        seconds, _, headers = client.get(METRIC)
    return max(first, seconds)


def latency(client: Client, *, hello: Client) -> None:
    """Time the answers to single requests."""
    floor = median(hello.seconds("/"))
    tag = client.get(METRIC)[2]["ETag"]
    answers = {name: median(client.seconds(path)) for name, path in PATHS.items()}
    answers["304"] = median(client.seconds(METRIC, **{"If-None-Match": tag}))
    rows = [(name, _precise(seconds), seconds / floor) for name, seconds in {"hello": floor, **answers}.items()]
    print_table(("one client", "seconds", "x hello"), rows)


def probes(folder: Path, arguments: argparse.Namespace, *, hello: Client) -> None:
    """Time a metric while nobody polls /readyz, and while four clients do."""
    lake = WrittenLake(Settings(root=str(folder), _env_file=None))
    lake.write(days=arguments.files // 5, addresses=2)
    lake.publish()
    with served(arguments.checkout, folder) as client:
        floor, alone = median(hello.seconds("/")), client.seconds(METRIC, times=arguments.requests)
        with pollers(client.connection.port, pause=arguments.pause):
            polled = client.seconds(METRIC, times=arguments.requests)
            probe = median(client.seconds("/readyz", times=arguments.requests // 3))
    compared = (("metric, median", median(alone), median(polled), ""), ("metric, p99", p99(alone), p99(polled), "≤ 2"))
    print_table(
        (f"{lake.files():,} files, /readyz polled by four", "seconds", "x hello", "x alone", "goal"),
        [(name, _precise(after), after / floor, after / before, goal) for name, before, after, goal in compared]
        + [("/readyz, median", _precise(probe), probe / floor, "", "")],
    )


def _precise(seconds: float) -> str:
    return f"{seconds:.4f}"


def p99(seconds: list[float]) -> float:
    """Return the 99th percentile."""
    return quantiles(seconds, n=100)[98]


class WrittenLake:
    """A lake written by delta-rs: silver, gold and snapshots, with one file per table and day."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._published = 0
        self._versions: dict[str, int] = {}

    def write(self, *, days: int, addresses: int) -> None:
        """Write one event per day and address, and gold of these."""
        chance = random.Random(1)  # noqa: S311 - test data
        events = pa.Table.from_pylist(
            [
                _event(
                    day * addresses + at, START + day * DAY + chance.randrange(1440) * MINUTE, src_ip=f"192.0.2.{at}"
                )
                for day in range(days)
                for at in range(addresses)
            ],
            schema=EVENTS.arrow_schema(),
        )
        base = pair_activity_hourly(pl.from_arrow(events).lazy()).collect()
        self._write(EVENTS, events)
        self._write(PAIR_ACTIVITY, base.to_arrow())
        for metric in STORED_METRICS:
            self._write(metric.table, metric_rows(metric, base.lazy(), every=metric.stored).collect().to_arrow())
        for table in (DETECTIONS, RESTATEMENTS):
            self._write(table, table.arrow_schema().empty_table())

    def publish_many(self, count: int) -> None:
        """Publish snapshots of the same versions, with the publications of a day in one file."""
        for start in range(0, count, SNAPSHOTS_PER_FILE):
            self._publish([self._next_row() for _ in range(min(SNAPSHOTS_PER_FILE, count - start))])

    def publish(self) -> int:
        """Add a row to a stored metric, publish a snapshot of it, and return its id."""
        table = IP_ACTIVITY.table
        row = dict.fromkeys(table.column_names) | {
            "window_at": START,
            "window_on": START.date(),
            "src_ip": "203.0.113.1",
        }
        self._write(table, pa.Table.from_pylist([row], schema=table.arrow_schema()))
        self._publish([self._next_row()])
        return self._published

    def files(self) -> int:
        """Return how many files the versions of the last snapshot have."""
        root = self._settings.root
        return sum(len(DeltaTable(f"{root}/{name.replace('.', '/')}").file_uris()) for name in self._versions)

    def _next_row(self) -> dict[str, Any]:
        self._published += 1
        return {
            "id": self._published,
            "at": START + self._published * MINUTE,
            "versions": json.dumps(self._versions),
            "offsets": json.dumps({"logs": {"0": 1}}),
            "last_event_at": START,
            "last_append_at": START,
            "enrichment": "{}",
        }

    def _publish(self, rows: list[dict[str, Any]]) -> None:
        uri = self._settings.table_uri(SNAPSHOTS.layer, SNAPSHOTS.name)
        write_deltalake(uri, pa.Table.from_pylist(rows, schema=SNAPSHOTS.arrow_schema()), mode="append")

    def _write(self, table: Table, rows: pa.Table) -> None:
        uri = self._settings.table_uri(table.layer, table.name)
        write_deltalake(uri, rows.cast(table.arrow_schema()), mode="append", partition_by=list(table.partition_by))
        self._versions[table.full_name] = DeltaTable(uri).version()


def _event(number: int, at: datetime, *, src_ip: str) -> dict[str, Any]:
    return dict.fromkeys(EVENTS.column_names) | {
        "event_id": f"event-{number}",
        "event_at": at,
        "event_on": at.date(),
        "action": "login",
        "outcome": "failure",
        "failure_reason": "invalid_credentials",
        "times": 1,
        "username": f"user{number % 50:04}",
        "src_ip": src_ip,
        "app": "portal",
        "verdict": "accepted",
        "format": "login",
        "decoder_version": 1,
        "topic": "logs",
        "partition": 0,
        "offset": number,
        "appended_at": at,
        "ingested_at": at,
    }


@contextmanager
def served(checkout: Path, root: Path) -> Iterator[Client]:
    """Serve a lake from a checkout by its own environment; without a broker, so no answer waits for one."""
    python = checkout / ".venv" / "bin" / "python"
    port = free_port()
    environment = os.environ | {
        "LOGINLAKE_ROOT": str(root),
        "LOGINLAKE_STATE": str(root / "_state"),
        "LOGINLAKE_KAFKA": "127.0.0.1:9",
        "LOGINLAKE_PORT": str(port),
    }
    command = [str(python if python.exists() else sys.executable), "-m", "serving"]
    with process(command, port=port, path="/readyz", cwd=checkout, env=environment) as client:
        yield client


@contextmanager
def served_hello() -> Iterator[Client]:
    """Serve a constant by FastAPI."""
    port = free_port()
    with process([sys.executable, "-c", HELLO, str(port)], port=port, path="/") as client:
        yield client


@contextmanager
def process(command: list[str], *, port: int, path: str, **options: Any) -> Iterator[Client]:
    """Run a server until the end of the block, and yield a client once it answers 200."""
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options)
    connection = HTTPConnection("127.0.0.1", port, timeout=READY_SECONDS)
    client, deadline = Client(connection), time.monotonic() + READY_SECONDS
    try:
        while not _answers(client, path):
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command} does not answer")
            time.sleep(0.1)
        yield client
    finally:
        connection.close()
        server.terminate()
        server.wait()


def _answers(client: Client, path: str) -> bool:
    try:
        return client.get(path)[1] == 200
    except OSError:
        client.connection.close()
        return False


@contextmanager
def pollers(port: int, *, pause: float) -> Iterator[None]:
    """Poll /readyz from four processes for the block."""
    with ExitStack() as stack:
        for _ in range(POLLERS):
            poller = subprocess.Popen([sys.executable, "-c", POLLER, str(port), str(pause)])
            stack.callback(poller.wait)
            stack.callback(poller.terminate)
        time.sleep(1)
        yield


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--checkout", type=Path, default=Path(__file__).parents[1], help="the clone whose API is timed")
    parser.add_argument("--snapshots", type=int, default=43_200, help="snapshots published before")
    parser.add_argument("--publications", type=int, default=10, help="publications whose first answer is timed")
    parser.add_argument("--files", type=int, default=5_000, help="files of the other lake")
    parser.add_argument("--requests", type=int, default=REQUESTS, help="requests timed while others poll /readyz")
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between two polls of one client")
    return parser.parse_args()


if __name__ == "__main__":
    main()
