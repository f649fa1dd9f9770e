"""The commands of `loginlake produce`: send generated or replayed events to Kafka."""

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

from lakehouse.entrypoint import print_text
from lakehouse.errors import UsageError
from lakehouse.options import CommandGroup, SettingsCommand

if TYPE_CHECKING:
    from threading import Event

    from producer.generate import Plan, Stream
    from producer.records import Record
    from producer.replay import Sample

DEFAULT_EVENTS = 10_000
# A password spray needs six users.
MIN_USERS = 10
# Silver rejects older events by default (LOGINLAKE_MAX_EVENT_AGE_DAYS).
MAX_DAYS = 3_650

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    help="Send login events to Kafka: generated, or from a log file.",
)


class LogFormat(StrEnum):
    """Formats of records."""

    login = "login"
    sshd = "sshd"


Ledger = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write a JSON line for each acknowledged record to this file.")
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout", metavar="SECONDS", min=0.1, max=1e6, help="How long the broker may take to acknowledge a record."
    ),
]

GENERATE_EXAMPLES = """
[bold]Examples[/bold]

A week of events that ends now:  [cyan]loginlake produce generate --events 100000 --truth truth.json[/cyan]

A live stream until Ctrl-C:  [cyan]loginlake produce generate --rate 50[/cyan]

The same events again:  [cyan]loginlake produce generate --seed 3 --start 2026-03-01 --days 2[/cyan]
"""
REPLAY_EXAMPLES = """
[bold]Examples[/bold]

A log file:  [cyan]loginlake produce replay /var/log/auth.log --format sshd[/cyan]

New lines as an application writes them:  [cyan]tail -F app.ndjson | loginlake produce replay -[/cyan]

New lines of a server:  [cyan]tail -F /var/log/auth.log | loginlake produce replay - --format sshd --year 2026[/cyan]
"""


@app.command(cls=SettingsCommand, epilog=GENERATE_EXAMPLES)
def generate(  # noqa: PLR0913 (each is an option)
    *,
    events: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help=f"Number of records; {DEFAULT_EVENTS:,} by default, unlimited with --rate."
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="R",
            min=0.001,
            max=1e6,
            help="Send a live stream of this many records a second, until Ctrl-C or --events.",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Seed; the same --seed and --start produce the same bytes.")
    ] = 7,
    users: Annotated[int, typer.Option(metavar="N", min=MIN_USERS, help="Number of users.")] = 1000,
    days: Annotated[
        int, typer.Option(metavar="N", min=1, max=MAX_DAYS, help="Number of days that a batch covers.")
    ] = 7,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="INSTANT",
            help="Start of the time range, RFC 3339 or a day, UTC; by default --days ago, or now with --rate.",
        ),
    ] = None,
    attacks: Annotated[
        float,
        typer.Option(
            metavar="FRACTION", min=0, max=0.5, help="Fraction of the records that belong to planted attacks."
        ),
    ] = 0.05,
    look_alikes: Annotated[
        float,
        typer.Option(
            metavar="FRACTION",
            min=0,
            max=0.4,
            help="Fraction of the records that belong to harmless look-alikes of attacks.",
        ),
    ] = 0.03,
    cases: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Number of times that each attack and each look-alike occurs in a batch, at least."
        ),
    ] = 0,
    noise: Annotated[
        float,
        typer.Option(
            metavar="FRACTION",
            min=0,
            max=1,
            help="Fraction of normal records that are duplicate, late, malformed or unrelated.",
        ),
    ] = 0.02,
    log_format: Annotated[LogFormat, typer.Option("--format", help="Format of the records.")] = LogFormat.login,
    truth: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the planted attacks and look-alikes as JSON to this file."),
    ] = None,
    ledger: Ledger = None,
    timeout: Timeout = 300.0,
) -> None:
    """Send generated login events: a batch over the past days, or a live stream with --rate."""
    from lakehouse.entrypoint import stop_on_signals
    from producer.events import millis_of
    from producer.generate import Plan
    from producer.pacing import until_set

    first_at, end_at = _time_range(start, days=days, rate=rate)
    plan = Plan(
        seed,
        millis_of(first_at),
        users=users,
        attacks=attacks,
        look_alikes=look_alikes,
        cases=cases,
        noise=noise,
        format=log_format.value,
    )
    count = events if rate else events or DEFAULT_EVENTS
    with _open_output(truth) as truth_file, _open_output(ledger) as ledger_file, stop_on_signals() as stop:
        stream, records = _generated_records(plan, stop, count=count, rate=rate, end=millis_of(end_at))
        try:
            summary = _send(until_set(stop, records), count=count, ledger=ledger_file, timeout=timeout)
        finally:
            if truth_file is not None:
                truth_file.write(stream.truth.to_json())
    print_text(f"{summary}: {stream.truth}")


@app.command(cls=SettingsCommand, epilog=REPLAY_EXAMPLES)
def replay(
    file: Annotated[str, typer.Argument(help="Log file, or - for standard input.")],
    *,
    log_format: Annotated[
        LogFormat | None,
        typer.Option(
            "--format",
            help="Format of the lines. Without it, one of the first 100 must look like a login record.",
        ),
    ] = None,
    year: Annotated[
        int | None,
        typer.Option(
            metavar="YEAR",
            min=1970,
            max=9999,
            help="Year of the first sshd line; by default the latest year that puts the last line at or before the "
            "file's modification time (standard input is read to its end first).",
        ),
    ] = None,
    ledger: Ledger = None,
    timeout: Timeout = 300.0,
) -> None:
    """Send the lines of a log file unchanged. Replaying it again adds no events: equal lines keep their event ids."""
    from lakehouse.entrypoint import stop_on_signals
    from producer.line_reader import STANDARD_INPUT, open_log
    from producer.pacing import until_set
    from producer.replay import Sample, held_until_recognized, records_of

    is_assumed, log_format = log_format is None, log_format or LogFormat.login
    if file == STANDARD_INPUT and log_format is LogFormat.sshd and year is None:
        print_text(
            "Reading standard input to its end to find the year of its first line; use --year to send lines at once",
            err=True,
        )
    with open_log(file) as (source, written_at), _open_output(ledger) as ledger_file, stop_on_signals() as stop:
        records = records_of(source, log_format.value, year=year, written_at=written_at, stop=stop)
        if is_assumed:
            records = held_until_recognized(records, log_format.value, stop=stop)
        sample = Sample(log_format.value)
        summary = _send(until_set(stop, sample.of(records)), count=None, ledger=ledger_file, timeout=timeout)
    print_text(summary)
    if sample.lines and not sample.recognized:
        print_text(_unlike_format(file, sample), err=True)


def _unlike_format(file: str, sample: Sample) -> str:
    """Return the warning about a file of another format, or without times."""
    from producer.replay import UNTIMED

    others = " or ".join(each.value for each in LogFormat if each.value != sample.log_format)
    are_untimed = sample.untimed * 2 > sample.lines
    hint = UNTIMED if are_untimed else f"Use --format {others} if the file has that format"
    if sample.lines == 1:
        return f"The line does not look like the format {sample.log_format}: its row will be broken or ignored. {hint}"
    return (
        f"None of the first {sample.lines} lines of {file} looks like the format {sample.log_format}: their rows will "
        f"be broken or ignored. {hint}"
    )


def _time_range(start: str | None, *, days: int, rate: float | None) -> tuple[datetime, datetime]:
    """Return the first and last instant of a batch; a live stream begins now unless `start` is given."""
    now = datetime.now(UTC)
    if start is None:
        return (now if rate else now - timedelta(days=days)), now
    try:
        first_at = datetime.fromisoformat(start)
    except ValueError as error:
        raise UsageError(f"--start {start} is not an instant", hint="Use the form 2026-03-01T08:00:00Z") from error
    first_at = first_at.replace(tzinfo=first_at.tzinfo or UTC)
    duration = timedelta(0 if rate else days)
    if first_at > now - duration:
        raise UsageError(
            f"A batch from --start {start} ends in the future", hint="Use an earlier --start or fewer --days"
        )
    return first_at, first_at + duration


def _generated_records(
    plan: Plan, stop: Event, *, count: int | None, rate: float | None, end: int
) -> tuple[Stream, Iterable[Record]]:
    """Return the stream, which holds the ground truth, and the records to send."""
    from producer.generate import batch, live
    from producer.pacing import paced

    if rate is None:
        stream = batch(plan, events=count or 0, end=end)
        return stream, stream
    stream = live(plan, rate=rate)
    return stream, islice(paced(stream, start=plan.start, clock=time.monotonic, wait=stop.wait), count)


def _send(records: Iterable[Record], *, count: int | None, ledger: BinaryIO | None, timeout: float) -> str:
    """Send the records, show the progress, and return a summary."""
    from lakehouse.progress_bar import progress_bar
    from lakehouse.settings import load_settings
    from producer.publish import publish

    settings = load_settings()
    with progress_bar() as show:

        def on_sent(sent: int) -> None:
            show("Sending records", sent, count)

        sent = publish(records, settings, ledger=ledger, on_sent=on_sent, timeout_seconds=timeout)
    return f"{sent:,} record{'' if sent == 1 else 's'} delivered to topic {settings.topic} at {settings.kafka}"


@contextmanager
def _open_output(path: Path | None) -> Iterator[BinaryIO | None]:
    """Open an output file before anything is sent, so that a wrong path fails early."""
    if path is None:
        yield None
        return
    try:
        file = path.open("wb")
    except OSError as error:
        raise UsageError(f"{path} can't be written ({error.strerror})", hint="Use another path") from error
    with file:
        yield file
