"""`loginlake demo` and `loginlake up`: all parts on one machine, with their ends tied together."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from rich.console import Console

from lakehouse.entrypoint import stop_on_signals
from lakehouse.errors import ProcessFailed, UsageError, VerifyFailed
from lakehouse.java import java_path
from lakehouse.job import running_spark
from lakehouse.kafka import require_broker
from lakehouse.locks import refuse_in_use
from lakehouse.logs import configure_logs
from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot
from loginlake.broker import broker_folder, embedded_broker, refuse_taken, refuse_used
from loginlake.demo_report import print_next, print_panel
from loginlake.subprocesses import child, child_failed, run_child
from loginlake.verify import verify
from serving.server import listening_socket, require_loopback
from serving.store import Store

if TYPE_CHECKING:
    from lakehouse.lake import Lake

LIVE_RATE = 20
LIVE_SECONDS = 15.0
READY_SECONDS = 60.0
PLAIN_WIDTH = 120


@dataclass(frozen=True)
class Round:
    """Events that are produced, ingested and published together: so many, from days ago, over days."""

    events: int
    days_ago: int
    days: int


# A week, then what came since.
ROUNDS = (Round(20_000, days_ago=8, days=7), Round(5_000, days_ago=1, days=1))


def demo(settings: Settings, *, once: bool, fresh: bool) -> None:
    """Produces, ingests, refines and publishes twice, proves it, shows it, and goes on live until Ctrl-C.

    Args:
        settings: Where the lake and the broker's data lie; what is there is continued.
        once: Ends after the panel.
        fresh: Moves the lake and the embedded broker's data aside first.

    Raises:
        VerifyFailed: The lake does not hold what it promises.
        LakehouseError: A part can't be started, or failed.
    """
    console = a_console()
    preflight(settings)
    if fresh:
        move_aside(settings, console)
    with running_parts(settings, console) as (lake, api):
        attacks = [attack for part in ROUNDS for attack in one_round(lake, console, part=part)]
        store = Store(settings)
        with step(console, "Verifying"):
            report = verify(settings, store)
        print_panel(console, store, report=report, attacks=attacks, rules=("brute_force_ip",))
        console.print("verify: ok" if report.ok else "verify: the claims of the lake do not hold")
        if not report.ok:
            raise VerifyFailed("The lake does not hold what it promises", hint="Run `loginlake verify` for all of it")
        print_next(console, settings, snapshot=store.snapshot(), is_live=not once)
        if not once:
            go_on_live(lake, console, api=api)


def up(settings: Settings) -> None:
    """Runs broker (unless Kafka is given), bronze, refresh and API until Ctrl-C or SIGTERM.

    Raises:
        LakehouseError: A part can't be started, or failed.
    """
    console = a_console()
    preflight(settings)
    with running_parts(settings, console) as (lake, api):
        console.print(f"Kafka listens on {settings.kafka}, the API on {url_of(settings)}")
        go_on(lake, console, api=api)


def preflight(settings: Settings) -> None:
    """Refuses what would fail later: a taken port, no Java, a state that can't be written, a named broker that is away.

    Raises:
        LakehouseError: The first of these.
    """
    require_loopback(settings)
    listening_socket(settings).close()
    java_path()
    log_folder(settings).mkdir(parents=True, exist_ok=True)
    if settings.kafka_is_given:
        require_broker(settings)


@contextmanager
def running_parts(settings: Settings, console: Console) -> Iterator[tuple[Lake, Popen[bytes]]]:
    """The broker, unless one is given, the API and Spark, for the block; the API comes up while Spark does.

    Raises:
        ProcessFailed: The API does not come up.
        LakehouseError: Another part can't be started.
    """
    from lakehouse.lake import Lake

    with ExitStack() as parts:
        configure_logs(parts.enter_context((log_folder(settings) / "loginlake.log").open("a")))
        if not settings.kafka_is_given:
            with step(console, "Starting Kafka"):
                parts.enter_context(embedded_broker(settings))
        serving_log = log_folder(settings) / "serving.log"
        api = parts.enter_context(child(ours("serving"), output=serving_log))
        with step(console, "Starting Spark"):
            spark = parts.enter_context(running_spark(settings, job="up"))
        with step(console, "Starting the API"):
            await_api(settings, api, output=serving_log)
        yield Lake(spark, settings), api
        console.print("Stopping")


def one_round(lake: Lake, console: Console, *, part: Round) -> list[dict[str, Any]]:
    """Produces events, ingests them and publishes a snapshot; gives the attacks that were planted."""
    from bronze.stream import ingest_once
    from loginlake.pipeline import refresh

    # Another seed each time, so that a second demo adds events of its own.
    seed = len(Store(lake.settings).snapshots()) + 1
    truth = log_folder(lake.settings) / f"truth-{seed}.json"
    start = datetime.now(UTC) - timedelta(days=part.days_ago)
    span = ("--start", start.isoformat(timespec="seconds"), "--days", str(part.days))
    planned = ("--events", str(part.events), "--seed", str(seed), "--truth", str(truth))
    with step(console, f"Producing {part.events:,} events"):
        run_child(ours("producer", "generate", *planned, *span), output=log_folder(lake.settings) / "producer.log")
    with step(console, "Bronze: streaming them in"):
        ingest_once(lake)
    with step(console, "Silver and gold: refining, aggregating, publishing"):
        refresh(lake)
    attacks: list[dict[str, Any]] = json.loads(truth.read_bytes())["attacks"]
    return attacks


def go_on_live(lake: Lake, console: Console, *, api: Popen[bytes]) -> None:
    """A steady stream of events, refreshed as fast as it goes but at most every 15 s, until Ctrl-C."""
    if "refresh_interval_seconds" not in lake.settings.model_fields_set:
        lake = lake.with_settings(refresh_interval_seconds=LIVE_SECONDS)
    seed = len(Store(lake.settings).snapshots()) + 1
    producer = ours("producer", "generate", "--rate", str(LIVE_RATE), "--seed", str(seed))
    console.print(f"Live: {LIVE_RATE} events a second; Ctrl-C stops everything")
    with child(producer, output=log_folder(lake.settings) / "producer.log") as producing:
        go_on(lake, console, api=api, others=(producing,))


def go_on(lake: Lake, console: Console, *, api: Popen[bytes], others: tuple[Popen[bytes], ...] = ()) -> None:
    """Bronze and refresh, until a signal comes or a process ends by itself.

    Raises:
        ProcessFailed: A process ended by itself.
        LakehouseError: The stream or a refresh failed.
    """
    from loginlake.pipeline import run_until

    with stop_on_signals() as stop, stop_when_ended((api, *others), stop) as ended:
        run_until(stop, lake, published=lambda snapshot: console.print(said_of(snapshot)))
    if ended:
        raise child_failed(ended[0], log_folder(lake.settings))


@contextmanager
def stop_when_ended(processes: tuple[Popen[bytes], ...], stop: threading.Event) -> Iterator[list[Popen[bytes]]]:
    """Sets `stop` when one of the processes ends; the list then holds it."""
    ended: list[Popen[bytes]] = []

    def watch() -> None:
        while not stop.wait(0.5):
            ended.extend(process for process in processes if process.poll() is not None)
            if ended:
                stop.set()

    watcher = threading.Thread(target=watch, name="watch-children")
    watcher.start()
    try:
        yield ended
    finally:
        stop.set()
        watcher.join()


def await_api(settings: Settings, api: Popen[bytes], *, output: Path) -> None:
    """Waits until the API answers.

    Raises:
        ProcessFailed: It does not come up.
    """
    deadline = time.monotonic() + READY_SECONDS
    while not _answers(f"{url_of(settings)}/livez"):
        if api.poll() is not None:
            raise child_failed(api, output)
        if time.monotonic() > deadline:
            raise ProcessFailed(
                f"The API does not answer at {url_of(settings)} after {READY_SECONDS:g} s",
                hint=f"See why in {output}",
            )
        time.sleep(0.1)


def move_aside(settings: Settings, console: Console) -> None:
    """Renames the lake, and the embedded broker's data, so that new ones are begun and nothing is lost.

    Records of a broker that was named stay where they are: the new lake begins with them.

    Raises:
        UsageError: The lake does not lie on this machine.
        LockHeld: It is in use.
        BrokerFailed, PortTaken: The embedded broker's data are in use, or its port is taken.
    """
    if "://" in settings.root:
        raise UsageError(f"The lake at {settings.root} can't be moved aside", hint="Name another with LOGINLAKE_ROOT")
    refuse_in_use(settings)
    folders = [Path(settings.root)]
    if not settings.kafka_is_given:
        refuse_used(settings)
        refuse_taken(settings)
        folders.append(broker_folder(settings))
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    for folder in folders:
        if folder.exists():
            aside = folder.with_name(f"{folder.name}.{stamp}")
            folder.rename(aside)
            console.print(f"Moved {folder} to {aside}")


@contextmanager
def step(console: Console, what: str) -> Iterator[None]:
    """Shows that something goes on, and then how long it took."""
    started = time.monotonic()
    if not console.is_terminal:
        console.print(f"{what} …")
    with console.status(what):
        yield
    console.print(f"{what}: {time.monotonic() - started:.1f} s")


def said_of(snapshot: Snapshot) -> str:
    """One line about a published snapshot."""
    events = sum(snapshot.offsets.values())
    return f"Snapshot {snapshot.id} at {snapshot.at:%H:%M:%S} UTC covers {events:,} records"


def a_console() -> Console:
    """Standard output: rich on a terminal, plain lines of a fixed width elsewhere."""
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)


def ours(module: str, *arguments: str) -> list[str]:
    """The command line of one of our modules, in this Python; settings reach it by the environment."""
    return [sys.executable, "-m", module, *arguments]


def url_of(settings: Settings) -> str:
    """Where the API answers."""
    return f"http://{settings.host}:{settings.port}"


def log_folder(settings: Settings) -> Path:
    """Where the processes write what they have to say."""
    return settings.state / "logs"


def _answers(url: str) -> bool:
    # Not by a proxy that the environment names: it is our own address.
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=2.0) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
