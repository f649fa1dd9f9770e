"""`loginlake produce`: generated or replayed events into Kafka."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from lakehouse.errors import UsageError
from lakehouse.options import SettingsCommand

if TYPE_CHECKING:
    from threading import Event

    from producer.generate import Plan, Stream
    from producer.records import Record

DEFAULT_EVENTS = 10_000
# The tightest scenario, a password spray, takes six users.
FEWEST_USERS = 10
# Older events are implausible to silver, unless it is told otherwise.
MOST_DAYS = 3_650

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Send login events to Kafka: generated, or from a log file."
)


class LogFormat(StrEnum):
    """Formats that records are written in."""

    login = "login"
    sshd = "sshd"


Ledger = Annotated[Path | None, typer.Option(help="Write here what the broker acknowledged, a JSON line per record.")]
Patience = Annotated[
    float, typer.Option("--timeout", min=0.1, max=1e6, help="Seconds the broker may take to acknowledge a record.")
]

GENERATE_EXAMPLES = """
[bold]Examples[/bold]

A week of events that ends now:  [cyan]loginlake produce generate --events 100000 --truth truth.json[/cyan]

A live stream until Ctrl-C:  [cyan]loginlake produce generate --rate 50[/cyan]

The same events again:  [cyan]loginlake produce generate --seed 3 --start 2026-03-01 --days 2[/cyan]
"""
REPLAY_EXAMPLES = """
[bold]Examples[/bold]

A log file of a server:  [cyan]loginlake produce replay /var/log/auth.log --format sshd[/cyan]

Lines as they come:  [cyan]tail -F app.ndjson | loginlake produce replay -[/cyan]

Those of a server:  [cyan]tail -F /var/log/auth.log | loginlake produce replay - --format sshd --year 2026[/cyan]
"""


@app.command(cls=SettingsCommand, epilog=GENERATE_EXAMPLES)
def generate(  # noqa: PLR0913 (each is a flag)
    *,
    events: Annotated[
        int | None, typer.Option(min=1, help=f"Records to send; {DEFAULT_EVENTS:,} unless --rate is given.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.001, max=1e6, help="Records a second, live, until Ctrl-C or --events; from now on, or from --start."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed and start give the same bytes.")] = 7,
    users: Annotated[int, typer.Option(min=FEWEST_USERS, help="Size of the population.")] = 1000,
    days: Annotated[
        int, typer.Option(min=1, max=MOST_DAYS, help="Days that the events of a batch are spread over.")
    ] = 7,
    start: Annotated[
        str | None,
        typer.Option(help="First instant, RFC 3339 or a day, UTC; by default so many days ago, with --rate now."),
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
) -> None:
    """Send generated login events: a batch over the past days, or with --rate a live stream."""
    from lakehouse.entrypoint import stop_on_signals
    from producer.events import millis_of
    from producer.generate import Plan
    from producer.pacing import until_set

    begins, ends = _span(start, days=days, rate=rate)
    plan = Plan(seed, millis_of(begins), users=users, attacks=attacks, dirt=dirt, format=log_format.value)
    count = events if rate else events or DEFAULT_EVENTS
    with _written(truth) as truth_file, _written(ledger) as entries, stop_on_signals() as stop:
        stream, records = _generated(plan, stop, count=count, rate=rate, end=millis_of(ends))
        try:
            delivered = _delivered(until_set(stop, records), count=count, ledger=entries, timeout=timeout)
        finally:
            if truth_file is not None:
                truth_file.write(stream.truth.to_json())
    typer.echo(f"{delivered}: {stream.truth}")


@app.command(cls=SettingsCommand, epilog=REPLAY_EXAMPLES)
def replay(
    file: Annotated[str, typer.Argument(help="A log file, or - for standard input.")],
    *,
    log_format: Annotated[LogFormat, typer.Option("--format", help="How its lines are written.")] = LogFormat.login,
    year: Annotated[
        int | None,
        typer.Option(
            min=1970,
            max=9999,
            help="Year of the first sshd line; by default the one that puts the last line at or before the file's "
            "time, for which standard input is read to its end.",
        ),
    ] = None,
    ledger: Ledger = None,
    timeout: Patience = 300.0,
) -> None:
    """Send a log file line by line, as it is. Replaying it again adds nothing: its lines keep their identity."""
    from lakehouse.entrypoint import stop_on_signals
    from producer.line_reader import STANDARD_INPUT, opened
    from producer.pacing import until_set
    from producer.replay import records_of

    if file == STANDARD_INPUT and log_format is LogFormat.sshd and year is None:
        typer.echo(
            "Reading standard input to its end to find its year; with --year lines are sent as they come", err=True
        )
    with opened(file) as (source, written_at), _written(ledger) as entries, stop_on_signals() as stop:
        records = records_of(source, log_format.value, year=year, written_at=written_at, stop=stop)
        delivered = _delivered(until_set(stop, records), count=None, ledger=entries, timeout=timeout)
    typer.echo(delivered)


def _span(start: str | None, *, days: int, rate: float | None) -> tuple[datetime, datetime]:
    """First and last instant of a batch; a live stream begins now."""
    now = datetime.now(UTC)
    if start is None:
        return (now if rate else now - timedelta(days=days)), now
    try:
        begins = datetime.fromisoformat(start)
    except ValueError as error:
        raise UsageError(f"--start {start} is no instant", hint="Write it like 2026-03-01T08:00:00Z") from error
    begins = begins.replace(tzinfo=begins.tzinfo or UTC)
    span = timedelta(0 if rate else days)
    if begins > now - span:
        raise UsageError(f"What starts at {start} ends in the future", hint="Start earlier, or ask for fewer --days")
    return begins, begins + span


def _generated(
    plan: Plan, stop: Event, *, count: int | None, rate: float | None, end: int
) -> tuple[Stream, Iterable[Record]]:
    """The stream, which knows the truth, and its records as they are to be sent."""
    from producer.generate import batch, live
    from producer.pacing import paced

    if rate is None:
        stream = batch(plan, events=count or 0, end=end)
        return stream, stream
    stream = live(plan, rate=rate)
    return stream, islice(paced(stream, start=plan.start, clock=time.monotonic, wait=stop.wait), count)


def _delivered(records: Iterable[Record], *, count: int | None, ledger: BinaryIO | None, timeout: float) -> str:
    """Sends the records, shows how far it is, and gives the sentence that says where they are."""
    from lakehouse.progress_bar import progress_bar
    from lakehouse.settings import load_settings
    from producer.publish import publish

    settings = load_settings()
    with progress_bar() as show:
        sent = publish(
            records,
            settings,
            ledger=ledger,
            progress=lambda done: show("Sending records", done, count),
            timeout_seconds=timeout,
        )
    return f"{sent:,} record{'' if sent == 1 else 's'} delivered to topic {settings.topic} at {settings.kafka}"


@contextmanager
def _written(path: Path | None) -> Iterator[BinaryIO | None]:
    """A file to write, opened before anything is sent so that a bad path costs nothing."""
    if path is None:
        yield None
        return
    try:
        file = path.open("wb")
    except OSError as error:
        raise UsageError(f"{path} can't be written ({error.strerror})", hint="Name another file") from error
    with file:
        yield file
