"""Turn the lines of real log files into records; headers hold the values that a line does not contain."""

from __future__ import annotations

import hashlib
import re
from calendar import isleap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import FileIO
from itertools import chain
from threading import Event

import msgspec

from lakehouse.errors import UsageError
from producer.connections import Connections
from producer.events import MONTHS
from producer.line_reader import read_lines, rewindable
from producer.records import FORMATS, LOGIN_HEADERS, Record, sshd_headers

LEAP_YEAR = 2000
# A smaller step back is not a new year: a central server writes the backlog of a host, a board starts without a clock.
HALF_A_YEAR = timedelta(days=183)
# Lines of the same second are not always in order: Dec 31 23:59:59 after Jan 1 00:00:00 belongs to the year before.
MAX_DISORDER = timedelta(days=1)
LEAP_YEAR_LENGTH = timedelta(days=366)

_MONTH_NUMBERS = {name.encode(): number for number, name in enumerate(MONTHS, start=1)}
# What some daemons write before it: the prefix of a container's log, a priority, a weekday.
_BEFORE_TIMESTAMP = (
    rb"(?:\d{4}-\d\d-\d\dT\S+ (?:std(?:out|err) [FP] )?)?(?:<\d{1,3}> *)?(?:[A-Z][a-z]{2},? (?=[A-Z\d]))?"
)
_TIMESTAMP = re.compile(
    _BEFORE_TIMESTAMP
    + (rb"(" + b"|".join(_MONTH_NUMBERS) + rb") {1,2}(\d{1,2}) (?:\d{4} )?(\d\d):(\d\d):(\d\d)(?![\d:])")
)
_USER = re.compile(rb" (?:for|user) (?:(?:invalid )?user )?(\S+)")


class _LoginNames(msgspec.Struct):
    """The fields of a login record that the producer reads."""

    event_id: str | None = None
    username: str | None = None


_decoder = msgspec.json.Decoder(_LoginNames)

# As many lines show whether a file has the format.
SAMPLE_LINES = 100
UNTIMED = "A line of sshd begins with a time such as Jan 31 08:00:00 or 2026-01-31T08:00:00Z"
_SSHD = re.compile(rb"\bsshd(?:-session|-auth)?(?:\([\w-]+\))?\]?[\[:]")
_ISO_TIMESTAMP = re.compile(_BEFORE_TIMESTAMP + rb"(?:\d )?\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])[Tt ]")


@dataclass
class Sample:
    """The first records of a replay: how many there are, and how many of them look like the format.

    Attributes:
        log_format: `login` or `sshd`.
        lines: Number of records so far, at most `SAMPLE_LINES`.
        recognized: Number of them that look like the format.
        untimed: Number of them that name sshd, but do not begin with a time; 0 for the format `login`.
    """

    log_format: str
    lines: int = 0
    recognized: int = 0
    untimed: int = 0

    def of(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield the records unchanged, and look at the first ones."""
        for record in records:
            if self.lines < SAMPLE_LINES:
                self.lines += 1
                self.recognized += looks_like(record.value or b"", self.log_format)
                self.untimed += self.log_format == "sshd" and is_untimed(record.value or b"")
            yield record


def looks_like(line: bytes, log_format: str) -> bool:
    """Return True if a line seems to have the format: a login record with a name or an id, or a syslog line."""
    if log_format == "login":
        names = _names_in(line)
        return bool(names.event_id or names.username)
    return bool(_timestamp(line) or _ISO_TIMESTAMP.match(line))


def is_untimed(line: bytes) -> bool:
    """Return True if a line seems to be of sshd, but does not begin with a time that can be read."""
    return bool(_SSHD.search(line)) and not looks_like(line, "sshd")


def held_until_recognized(records: Iterator[Record], log_format: str, *, stop: Event) -> Iterator[Record]:
    """Read records until one looks like the format, at most `SAMPLE_LINES`, and return an iterator over all.

    Args:
        records: The records of a replay.
        log_format: `login` or `sshd`.
        stop: If it is set meanwhile, the records are not judged.

    Raises:
        UsageError: None of the first records looks like the format.
    """
    held: list[Record] = []
    for record in records:
        held.append(record)
        if looks_like(record.value or b"", log_format):
            break
        if len(held) == SAMPLE_LINES:
            raise _unknown_lines(held, log_format)
    else:
        if held and not stop.is_set():
            raise _unknown_lines(held, log_format)
    return chain(held, records)


def _unknown_lines(records: Sequence[Record], log_format: str) -> UsageError:
    """Return the error about records that do not look like the format, with what they look like."""
    lines = [record.value or b"" for record in records]
    which = "The line does" if len(lines) == 1 else f"The first {len(lines)} lines do"
    others = (other for other in FORMATS if other != log_format and any(looks_like(line, other) for line in lines))
    seems = next(others, None)
    if seems:
        hint = f"Use --format {seems}, which the lines look like"
    elif sum(map(is_untimed, lines)) * 2 > len(lines):
        hint = f"{UNTIMED}. --format sshd sends these lines nevertheless; silver marks them as broken"
    else:
        hint = f"Name the format with --format; --format {log_format} sends such lines all the same"
    return UsageError(f"{which} not look like the format {log_format}: nothing is sent", hint=hint)


def records_of(
    source: FileIO, log_format: str, *, year: int | None, written_at: datetime, stop: Event
) -> Iterator[Record]:
    """Yield a record for each line of a log file.

    Args:
        source: The file.
        log_format: `login` or `sshd`.
        year: Year of the first sshd line; None chooses the latest year that puts the last line at or before
            `written_at`.
        written_at: When the file was last modified.
        stop: Ends reading when set.
    """
    if log_format == "login":
        yield from login_records(read_lines(source, stop))
    elif year is not None:
        yield from sshd_records(read_lines(source, stop), year=year)
    else:
        with rewindable(source, stop) as seekable:
            position = seekable.tell()
            year = first_year(read_lines(seekable, stop), until=written_at)
            seekable.seek(position)
            yield from sshd_records(read_lines(seekable, stop), year=year)


def login_records(values: Iterable[bytes]) -> Iterator[Record]:
    """Yield a record for each line, with the user name as the key if the line has one."""
    for value in values:
        names = _names_in(value)
        yield Record(_encode(names.username), value, LOGIN_HEADERS, _encode(names.event_id))


def sshd_records(values: Iterable[bytes], *, year: int) -> Iterator[Record]:
    """Yield a record for each line, with headers for its year and the number of equal lines before it.

    The key is the user that the line seems to name; it affects only the order of records.

    Args:
        values: The lines of one file, in order.
        year: Year of the first line; it increases by one when the timestamp goes back by more than half a year.
    """
    seen: Counter[bytes] = Counter()
    connections = Connections()
    for value, year_offset in _with_year_offset(values):
        # Silver ignores white space at the end of a line.
        fingerprint = hashlib.blake2b(value.rstrip(), digest_size=16).digest()
        user = _USER.search(value)
        earlier = connections.reported_before(value)
        headers = sshd_headers(year + year_offset, seen[fingerprint], earlier=earlier)
        yield Record(user[1] if user else None, value, headers)
        seen[fingerprint] += 1


def first_year(values: Iterable[bytes], *, until: datetime) -> int:
    """Return the latest year of the first line that puts the last line at or before an instant.

    Syslog timestamps have no time zone: they are taken as local time of this machine.

    Args:
        values: The lines of one file, in order.
        until: When the file was last modified; with a time zone.
    """
    now = until.astimezone().replace(tzinfo=None)
    last, year_offset = now.replace(year=LEAP_YEAR), 0
    for value, offset in _with_year_offset(values):
        last, year_offset = _timestamp(value) or last, offset
    year = now.year - (last > now.replace(year=LEAP_YEAR))
    while (last.month, last.day) == (2, 29) and not isleap(year):
        year -= 1
    return year - year_offset


def _with_year_offset(values: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    """Yield each line with its years after the first line: one more at each new year."""
    year_offset, last = 0, None
    for value in values:
        at = _timestamp(value)
        if at and last:
            year_offset += _years_between(last, at)
        last = at or last
        yield value, year_offset


def _years_between(before: datetime, at: datetime) -> int:
    """Return the years from one line to the next: 1 if the timestamp goes back by more than half a year."""
    if before - at > HALF_A_YEAR:
        return 1
    return -1 if at - before > LEAP_YEAR_LENGTH - MAX_DISORDER else 0


def _timestamp(line: bytes) -> datetime | None:
    """Return the timestamp of a syslog line, placed in a leap year; None if it has none."""
    found = _TIMESTAMP.match(line)
    if found is None:
        return None
    month, (day, hour, minute, second) = _MONTH_NUMBERS[found[1]], map(int, found.groups()[1:])
    try:
        return datetime(LEAP_YEAR, month, day, hour, minute, second)  # noqa: DTZ001 (syslog timestamps have no zone)
    except ValueError:
        return None


def _names_in(value: bytes) -> _LoginNames:
    """Return the names in a login record; none if it can't be decoded, which silver will report."""
    try:
        return _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _LoginNames()


def _encode(text: str | None) -> bytes | None:
    return text.encode() if text else None
