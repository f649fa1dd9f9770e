"""Real log files, line by line, as they are; headers say what a line lacks."""

from __future__ import annotations

import hashlib
import re
from calendar import isleap
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from io import FileIO
from threading import Event

import msgspec

from producer.events import MONTHS
from producer.line_reader import lines, rewindable
from producer.records import LOGIN_HEADERS, Record, sshd_headers

LEAP_YEAR = 2000
# Lines of one second are not always written in order: Feb 1 00:00:00, then Jan 31 23:59:59 is no new year, and
# Jan 1 00:00:00, then Dec 31 23:59:59 is the old one.
DISORDER = timedelta(days=1)
LEAP_YEAR_LONG = timedelta(days=366)

_MONTH_NUMBERS = {name.encode(): number for number, name in enumerate(MONTHS, start=1)}
_STAMP = re.compile(rb"(" + b"|".join(_MONTH_NUMBERS) + rb") ([ \d]\d) (\d\d):(\d\d):(\d\d) ")
_USER = re.compile(rb" (?:for|user) (?:(?:invalid )?user )?(\S+)")


class _Named(msgspec.Struct):
    """What the producer itself reads of a login record."""

    event_id: str | None = None
    username: str | None = None


_named = msgspec.json.Decoder(_Named)


def records_of(
    source: FileIO, log_format: str, *, year: int | None, written_at: datetime, stop: Event
) -> Iterator[Record]:
    """A record per line of a log file of that format.

    Args:
        source: The file.
        log_format: `login` or `sshd`.
        year: Of the first sshd line; None takes the one that puts the last line at or before `written_at`.
        written_at: When the file was last written.
        stop: Ends the reading.
    """
    if log_format == "login":
        yield from login_records(lines(source, stop))
    elif year is not None:
        yield from sshd_records(lines(source, stop), year=year)
    else:
        with rewindable(source, stop) as twice:
            begins = twice.tell()
            year = first_year(lines(twice, stop), until=written_at)
            twice.seek(begins)
            yield from sshd_records(lines(twice, stop), year=year)


def login_records(values: Iterable[bytes]) -> Iterator[Record]:
    """A record per line, keyed by user where one can be read."""
    for value in values:
        named = _names_in(value)
        yield Record(_bytes(named.username), value, LOGIN_HEADERS, _bytes(named.event_id))


def sshd_records(values: Iterable[bytes], *, year: int) -> Iterator[Record]:
    """A record per line, with its year and how many equal lines came before it.

    It is keyed by the user whom the line seems to name: only the order of records hangs on it.

    Args:
        values: The lines of one file, in its order.
        year: Of the first line; it grows by one wherever the month goes back.
    """
    seen: Counter[bytes] = Counter()
    for value, years_on in _with_years_on(values):
        # White space at the end is no part of what a line says: silver drops it.
        fingerprint = hashlib.blake2b(value.rstrip(), digest_size=16).digest()
        user = _USER.search(value)
        yield Record(user[1] if user else None, value, sshd_headers(year + years_on, seen[fingerprint]))
        seen[fingerprint] += 1


def first_year(values: Iterable[bytes], *, until: datetime) -> int:
    """The year of the first line that puts the last one at or before an instant.

    Stamps have no time zone: they are held against the instant in the zone of this machine, where such files are
    written most.

    Args:
        values: The lines of one file, in its order.
        until: When the file was last written, or now; with a time zone.
    """
    now = until.astimezone().replace(tzinfo=None)
    last, years_on = now.replace(year=LEAP_YEAR), 0
    for value, so_far in _with_years_on(values):
        last, years_on = _stamp(value) or last, so_far
    year = now.year - (last > now.replace(year=LEAP_YEAR))
    while (last.month, last.day) == (2, 29) and not isleap(year):
        year -= 1
    return year - years_on


def _with_years_on(values: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    """Each line, and how many years after the first it was written: one more wherever the month goes back."""
    years_on, last = 0, None
    for value in values:
        at = _stamp(value)
        if at and last:
            years_on += _years_between(last, at)
        last = at or last
        yield value, years_on


def _years_between(before: datetime, at: datetime) -> int:
    """How many years a line is after the line before it: 1 where its month goes back, but for a little disorder."""
    if at.month < before.month and before - at > DISORDER:
        return 1
    return -1 if at - before > LEAP_YEAR_LONG - DISORDER else 0


def _stamp(line: bytes) -> datetime | None:
    """When a syslog line was written, as if in a leap year; None where it does not say."""
    found = _STAMP.match(line)
    if found is None:
        return None
    month, (day, hour, minute, second) = _MONTH_NUMBERS[found[1]], map(int, found.groups()[1:])
    try:
        return datetime(LEAP_YEAR, month, day, hour, minute, second)  # noqa: DTZ001 (stamps have no zone)
    except ValueError:
        return None


def _names_in(value: bytes) -> _Named:
    """What can be read; a line that is broken has no names here, and its verdict in silver."""
    try:
        return _named.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Named()


def _bytes(text: str | None) -> bytes | None:
    return text.encode() if text else None
