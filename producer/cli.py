"""`loginlake produce`: generated or replayed events into Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from lakehouse.errors import UsageError

if TYPE_CHECKING:
    from lakehouse.settings import Settings
    from producer.generate import Plan, Stream
    from producer.records import Record
    from producer.stop import Stop

DEFAULT_EVENTS = 10_000
# The tightest scenario, a password spray, takes six users.
FEWEST_USERS = 10
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Send login events to Kafka: generated, or from a log file."
)


class LogFormat(StrEnum):
    """Formats that records are written in."""

    login = "login"
    sshd = "sshd"


Kafka = Annotated[str | None, typer.Option(help="Kafka servers, instead of LOGINLAKE_KAFKA.")]
Topic = Annotated[str | None, typer.Option(help="Topic, instead of LOGINLAKE_TOPIC.")]
Ledger = Annotated[Path | None, typer.Option(help="Write here what the broker acknowledged, a JSON line per record.")]
Patience = Annotated[
    float, typer.Option("--timeout", min=0.1, help="Seconds the broker may take to acknowledge a record.")
]

GENERATE_EXAMPLES = """
[bold]Examples[/bold]

A week of events that ends now:  [cyan]generate --events 100000 --truth truth.json[/cyan]

A live stream until Ctrl-C:  [cyan]generate --rate 50[/cyan]

The same events again:  [cyan]generate --seed 3 --start 2026-03-01 --days 2[/cyan]
"""
REPLAY_EXAMPLES = """
[bold]Examples[/bold]

A log file of a server:  [cyan]replay /var/log/auth.log --format sshd[/cyan]

Lines as they come:  [cyan]tail -F app.ndjson | replay -[/cyan]
"""


@app.command(epilog=GENERATE_EXAMPLES)
def generate(  # noqa: PLR0913 (each is a flag)
    *,
    events: Annotated[
        int | None, typer.Option(min=1, help=f"Records to send. [{DEFAULT_EVENTS:,} unless --rate is given]")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Records a second, live: their times are the clock's.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed and start give the same bytes.")] = 7,
    users: Annotated[int, typer.Option(min=FEWEST_USERS, help="Size of the population.")] = 1000,
    days: Annotated[int, typer.Option(min=1, help="Days that the events of a batch are spread over.")] = 7,
    start: Annotated[
        str | None, typer.Option(help="First instant of a batch, RFC 3339 or a day, UTC. [so many days ago]")
    ] = None,
    attacks: Annotated[
        float, typer.Option(min=0, max=0.5, help="Part of the records that belongs to planted attacks.")
    ] = 0.05,
    dirt: Annotated[
        float,
        typer.Option(min=0, max=1, help="Part of the others that is dirt: duplicate, late, broken, foreign."),
    ] = 0.02,
    log_format: Annotated[LogFormat, typer.Option("--format", help="How events are written.")] = LogFormat.login,
    truth: Annotated[Path | None, typer.Option(help="Write here what was planted, as JSON.")] = None,
    ledger: Ledger = None,
    timeout: Patience = 300.0,
    kafka: Kafka = None,
    topic: Topic = None,
) -> None:
    """Send generated login events: a batch over the past days, or with --rate a live stream."""
    from lakehouse.settings import load_settings
    from producer.generate import Plan
    from producer.publish import publish
    from producer.stop import Stop

    settings, stop = load_settings(kafka=kafka, topic=topic), Stop()
    begins, ends = _span(start, days=days, rate=rate)
    plan = Plan(seed, _millis(begins), users=users, attacks=attacks, dirt=dirt, format=log_format.value)
    count = events if rate else events or DEFAULT_EVENTS
    stream, records = _generated(plan, stop, count=count, rate=rate, end=_millis(ends))
    with _written(truth) as truth_file, _written(ledger) as entries:
        try:
            send = partial(publish, stop.until_asked(records), settings, ledger=entries, timeout_seconds=timeout)
            _said(_watched(send, stop=stop, count=count), settings)
        finally:
            if truth_file is not None:
                truth_file.write(stream.truth.to_json())


@app.command(epilog=REPLAY_EXAMPLES)
def replay(  # noqa: PLR0913 (each is a flag)
    file: Annotated[str, typer.Argument(help="A log file, or - for standard input.")],
    *,
    log_format: Annotated[LogFormat, typer.Option("--format", help="How its lines are written.")] = LogFormat.login,
    year: Annotated[
        int | None,
        typer.Option(
            min=1970,
            max=9999,
            help="Year of the first sshd line. [the one that puts the last line at or before the file's time; "
            "standard input is read to its end for it]",
        ),
    ] = None,
    ledger: Ledger = None,
    timeout: Patience = 300.0,
    kafka: Kafka = None,
    topic: Topic = None,
) -> None:
    """Send a log file line by line, as it is. Replaying it again adds nothing: its lines keep their identity."""
    from lakehouse.settings import load_settings
    from producer.publish import publish
    from producer.replay import opened, records_of
    from producer.stop import Stop

    settings, stop = load_settings(kafka=kafka, topic=topic), Stop()
    with opened(file) as (source, written_at), _written(ledger) as entries:
        records = records_of(source, log_format.value, year=year, written_at=written_at)
        send = partial(publish, stop.until_asked(records), settings, ledger=entries, timeout_seconds=timeout)
        _said(_watched(send, stop=stop, count=None), settings)


def _span(start: str | None, *, days: int, rate: float | None) -> tuple[datetime, datetime]:
    """First and last instant of a batch; a live stream begins now."""
    now = datetime.now(UTC)
    if start is None:
        return (now if rate else now - timedelta(days=days)), now
    if rate:
        raise UsageError("--start means nothing with --rate, whose events happen now", mend="Leave one of them out")
    try:
        begins = datetime.fromisoformat(start)
    except ValueError as error:
        raise UsageError(f"--start {start} is no instant", mend="Write it like 2026-03-01T08:00:00Z") from error
    begins = begins.replace(tzinfo=begins.tzinfo or UTC)
    ends = begins + timedelta(days=days)
    if ends > now:
        raise UsageError(f"{days} days from {start} end in the future", mend="Start earlier, or ask for fewer --days")
    return begins, ends


def _generated(
    plan: Plan, stop: Stop, *, count: int | None, rate: float | None, end: int
) -> tuple[Stream, Iterable[Record]]:
    """The stream, which knows the truth, and its records as they are to be sent."""
    from producer.generate import batch, live
    from producer.pace import paced

    if rate is None:
        stream = batch(plan, events=count or 0, end=end)
        return stream, stream
    stream = live(plan, rate=rate)
    return stream, islice(paced(stream, clock=time.time, wait=stop.wait), count)


def _watched(send: Callable[..., int], *, stop: Stop, count: int | None) -> int:
    """Sends with a bar on a terminal, until a signal or the end; returns how many were sent."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    bar = Progress(TextColumn("sent"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console)
    bar.disable = not console.is_terminal
    task = bar.add_task("sent", total=count)
    with bar, stop.on_signals():
        return send(progress=lambda sent: bar.update(task, completed=sent))


def _said(sent: int, settings: Settings) -> None:
    typer.echo(f"{sent:,} records delivered to {settings.topic} at {settings.kafka}", err=True)


@contextmanager
def _written(path: Path | None) -> Iterator[BinaryIO | None]:
    """A file to write, opened before anything is sent so that a bad path costs nothing."""
    if path is None:
        yield None
        return
    try:
        file = path.open("wb")
    except OSError as error:
        raise UsageError(f"{path} can't be written ({error.strerror})", mend="Name another file") from error
    with file:
        yield file


def _millis(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(milliseconds=1)
