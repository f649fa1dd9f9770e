"""All parts on one machine: broker, bronze, refresh and the API, started and stopped together."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from lakehouse.entrypoint import stop_on_signals
from lakehouse.errors import ProcessFailed
from lakehouse.job import SPARK_LOG, running_spark
from lakehouse.locks import stack_lock
from lakehouse.logs import configure_logs, log_folder
from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot
from lakehouse.steps import shown_steps
from lakehouse.waiting import wait_until
from loginlake.broker import embedded_broker
from loginlake.preflight import check_topic_of_lake
from loginlake.subprocesses import child, child_failed
from loginlake.terminal import output_console, timed_step

if TYPE_CHECKING:
    from rich.console import Console

    from lakehouse.lake import Lake

READY_SECONDS = 60.0
POLL_SECONDS = 0.5
# A quarter of the default refresh interval.
STACK_TRIGGER_SECONDS = 15.0


def run_stack(settings: Settings) -> None:
    """Run the broker (unless Kafka is given), bronze, refresh and the API until Ctrl-C or SIGTERM.

    Raises:
        LakehouseError: A part can't be started, or failed.
    """
    console = output_console()
    with running_stack(settings, console) as (lake, api):
        console.print(f"Kafka listens on {settings.kafka}, the API and its docs on {settings.api_url}")
        console.print(f"New records are {describe_pace(lake.settings)}; Ctrl-C stops everything")
        run_until_stopped(lake, console, children=(api,))


@contextmanager
def running_stack(settings: Settings, console: Console) -> Iterator[tuple[Lake, Popen[bytes]]]:
    """Run the broker (unless Kafka is given), the API and a Spark session for the block.

    Yields:
        The lake, and the API's process.

    Raises:
        ProcessFailed: The API does not start.
        LakehouseError: Another part can't be started.
    """
    from lakehouse.lake import Lake

    with ExitStack() as parts:
        parts.callback(console.print, "Stopped")
        parts.enter_context(stack_lock(settings))
        logs = log_folder(settings)
        logs.mkdir(parents=True, exist_ok=True)
        configure_logs(parts.enter_context((logs / "loginlake.log").open("a")))
        if not settings.kafka_is_given:
            with timed_step(console, "Starting Kafka", usual_seconds=5):
                parts.enter_context(embedded_broker(settings))
            check_topic_of_lake(settings)
        # The API starts while Spark does.
        api = parts.enter_context(child(python_module("serving"), output=logs / "serving.log"))
        with timed_step(console, "Starting Spark", usual_seconds=10):
            spark = parts.enter_context(running_spark(settings, job="up", errors=logs / SPARK_LOG))
        if settings.spark_ui_port is not None:
            console.print(f"Spark's pages: {spark.sparkContext.uiWebUrl}")
        with timed_step(console, "Starting the API"):
            wait_for_api(settings, api, output=logs / "serving.log")
        parts.callback(console.print, "Stopping Spark, the API and Kafka …")
        yield Lake(spark, with_stack_pace(settings)), api


def with_stack_pace(settings: Settings) -> Settings:
    """Return the settings with bronze's trigger of `up` and `demo`, unless LOGINLAKE_BRONZE_TRIGGER_SECONDS is set.

    Readers see new records after a refresh: more commits before it only cost processor time and files.
    """
    if "bronze_trigger_seconds" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"bronze_trigger_seconds": STACK_TRIGGER_SECONDS})


def describe_pace(settings: Settings) -> str:
    """Return how often new records are stored and published."""
    return (
        f"stored every {settings.bronze_trigger_seconds:g} s, "
        f"published at most every {settings.refresh_interval_seconds:g} s"
    )


def run_until_stopped(lake: Lake, console: Console, *, children: tuple[Popen[bytes], ...]) -> None:
    """Run bronze and refresh until a signal arrives or one of the child processes ends.

    Raises:
        ProcessFailed: A child process ended by itself.
        LakehouseError: The stream or a refresh failed.
    """
    from loginlake.pipeline import run_until

    with (
        stop_on_signals(finishing="a refresh") as stop,
        stop_when_one_ends(children, stop) as ended,
        shown_steps(console),
    ):
        run_until(stop, lake, on_publish=lambda snapshot: console.print(describe_snapshot(snapshot)))
    if ended:
        raise child_failed(ended[0], log_folder(lake.settings))


@contextmanager
def stop_when_one_ends(processes: tuple[Popen[bytes], ...], stop: threading.Event) -> Iterator[list[Popen[bytes]]]:
    """Set `stop` when one of the processes ends, and append that process to the list that is yielded."""
    ended: list[Popen[bytes]] = []

    def watch() -> None:
        while not stop.wait(POLL_SECONDS):
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


def wait_for_api(settings: Settings, api: Popen[bytes], *, output: Path) -> None:
    """Wait until the API answers.

    Raises:
        ProcessFailed: Its process ended, or it does not answer in time.
    """
    url = f"{settings.api_url}/livez"
    is_decided = wait_until(lambda: api.poll() is not None or _answers(url), seconds=READY_SECONDS)
    if api.poll() is not None:
        raise child_failed(api, output)
    if not is_decided:
        raise ProcessFailed(
            f"The API does not answer at {settings.api_url} after {READY_SECONDS:g} s",
            hint=f"Read the reason in {output}",
        )


def python_module(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs one of our modules with this Python; it gets the settings by environment."""
    return [sys.executable, "-m", module, *arguments]


def describe_snapshot(snapshot: Snapshot) -> str:
    """Return one line about a published snapshot."""
    records = sum(snapshot.offsets.values())
    return f"Snapshot {snapshot.id} at {snapshot.at:%H:%M:%S} UTC covers {records:,} records"


def _answers(url: str) -> bool:
    # Without the proxy that the environment may name: this is our own address.
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=2.0) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
