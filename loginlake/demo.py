"""`loginlake demo`: the whole flow on generated events, verified and reported, then live."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING

from gold.rules import load_rules
from lakehouse.errors import UsageError, VerifyFailed
from lakehouse.locks import refuse_in_use
from lakehouse.logs import log_folder
from lakehouse.settings import Settings
from loginlake.broker import broker_folder
from loginlake.demo_report import print_first_figures, print_next_commands, print_report
from loginlake.local_stack import (
    describe_pace,
    python_module,
    run_until_stopped,
    running_stack,
)
from loginlake.subprocesses import child, run_child
from loginlake.terminal import output_console, timed_step
from loginlake.truths import seed_of, truth_files, truth_path, truths_of_lake
from loginlake.verify import verify
from serving.store import Store

if TYPE_CHECKING:
    from rich.console import Console

    from lakehouse.lake import Lake

LIVE_RATE = 20


@dataclass(frozen=True)
class Batch:
    """Generated events that are sent, ingested and published together.

    Attributes:
        events: Number of events.
        days_ago: Days before now of the first event.
        days: Days that the events are spread over.
    """

    events: int
    days_ago: int
    days: int


# A week of events, then those of the day after it: two snapshots to compare.
BATCHES = (Batch(20_000, days_ago=8, days=7), Batch(5_000, days_ago=1, days=1))


def run_demo(settings: Settings, *, once: bool, fresh: bool) -> None:
    """Send, ingest and publish generated events twice, verify and report the lake, then continue live until Ctrl-C.

    Args:
        settings: They name the lake and the folder of the broker's data; existing ones are continued.
        once: Stop after the report.
        fresh: First move the lake and the embedded broker's data aside.

    Raises:
        VerifyFailed: `verify` found a fault.
        LakehouseError: A part can't be started, or failed.
    """
    console = output_console()
    if fresh:
        move_aside(settings, console)
    with running_stack(settings, console) as (lake, api):
        for batch in BATCHES:
            publish_batch(lake, console, batch=batch)
            print_first_figures(Store(settings), console, url=settings.api_url)
        verify_and_report(settings, console)
        print_next_commands(console, settings, snapshot=Store(settings).snapshot(), is_live=not once)
        if not once:
            run_live(lake, console, api=api)


def publish_batch(lake: Lake, console: Console, *, batch: Batch) -> None:
    """Send a batch of generated events, ingest it and publish a snapshot."""
    from bronze.stream import ingest_once
    from loginlake.pipeline import refresh

    seed = unused_seed(lake.settings)
    truth = truth_path(log_folder(lake.settings), seed)
    start = (datetime.now(UTC) - timedelta(days=batch.days_ago)).isoformat(timespec="seconds")
    what = ("--events", str(batch.events), "--seed", str(seed), "--truth", str(truth))
    generate = python_module("producer", "generate", *what, "--start", start, "--days", str(batch.days))
    with timed_step(console, f"Sending {batch.events:,} events to Kafka", usual_seconds=3):
        run_child(generate, output=log_folder(lake.settings) / "producer.log")
    with timed_step(console, f"Bronze, {batch.events:,} records", usual_seconds=10):
        ingest_once(lake)
    with timed_step(console, f"Silver and gold, {batch.events:,} records", usual_seconds=30):
        refresh(lake)


def unused_seed(settings: Settings) -> int:
    """Return a seed that no earlier demo has used, so that each adds other events and keeps its ground truth."""
    truths = truth_files(log_folder(settings))
    return 1 + max([len(Store(settings).snapshots()), *map(seed_of, truths)])


def verify_and_report(settings: Settings, console: Console) -> None:
    """Verify the lake and print the report of its last snapshot, with the ground truth of all demos on this lake.

    Raises:
        VerifyFailed: `verify` found a fault; the report is printed all the same.
    """
    store = Store(settings)
    with timed_step(console, "Verifying that no record is missing or stored twice", usual_seconds=5):
        report = verify(settings, store)
    severities = {rule.name: rule.severity for rule in load_rules(settings)}
    truths = truths_of_lake(log_folder(settings), store, snapshot=store.snapshot())
    print_report(store, report=report, truths=truths, severities=severities)
    if not report.ok:
        raise VerifyFailed("The lake has faults", hint="Run `loginlake verify` to list them")
    console.print(report.summary)


def run_live(lake: Lake, console: Console, *, api: Popen[bytes]) -> None:
    """Send a steady stream of events, store and publish them, until Ctrl-C."""
    seed = unused_seed(lake.settings)
    what = ("--rate", str(LIVE_RATE), "--seed", str(seed))
    generate = python_module("producer", "generate", *what, "--truth", str(truth_path(log_folder(lake.settings), seed)))
    console.print(f"Live: {LIVE_RATE} events a second; {describe_pace(lake.settings)}; Ctrl-C stops everything")
    with child(generate, output=log_folder(lake.settings) / "producer.log") as producer:
        run_until_stopped(lake, console, children=(api, producer))


def move_aside(settings: Settings, console: Console) -> None:
    """Rename the lake, the embedded broker's data and its ground truth: the demo starts empty and nothing is lost.

    The records of a broker named by LOGINLAKE_KAFKA stay where they are: the new lake starts with them, and their
    ground truth stays too.

    Raises:
        UsageError: The lake is not a folder on this machine.
        LockHeld: The lake is in use.
    """
    if "://" in settings.root:
        raise UsageError(
            f"The lake at {settings.root} can't be moved aside, because it is not a folder on this machine",
            hint="Set LOGINLAKE_ROOT to another path, and LOGINLAKE_STATE to another folder",
        )
    refuse_in_use(settings)
    paths = [Path(settings.root)]
    if not settings.kafka_is_given:
        paths += [broker_folder(settings), *truth_files(log_folder(settings))]
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    for path in paths:
        if path.exists():
            aside = path.with_name(f"{path.name}.{stamp}")
            path.rename(aside)
            console.print(f"Moved {path} to {aside}")
