"""Real log files, line by line, as they are; headers say what a line lacks."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import msgspec

from lakehouse.errors import UsageError
from producer.events import MONTHS
from producer.formats import line_headers, login_headers
from producer.records import Record

_MONTH_NUMBERS = {name.encode(): number for number, name in enumerate(MONTHS, start=1)}
_STAMP = re.compile(rb"(" + b"|".join(_MONTH_NUMBERS) + rb") ([ \d]\d) (\d\d:\d\d:\d\d) ")


class _Named(msgspec.Struct):
    """What the producer itself reads of a login record."""

    event_id: str | None = None
    username: str | None = None


_named = msgspec.json.Decoder(_Named)


def records_of(source: BinaryIO, log_format: str, *, year: int | None, written_at: datetime) -> Iterator[Record]:
    """A record per line of a log file of that format.

    Args:
        source: The file.
        log_format: `login` or `sshd`.
        year: Of the first sshd line; None takes the one that puts the last line at or before `written_at`.
        written_at: When the file was last written.
    """
    if log_format == "login":
        return login_records(source)
    if year is None:
        source = rewindable(source)
        year = first_year(source, until=written_at)
        source.seek(0)
    return sshd_records(source, year=year)


def login_records(lines: Iterable[bytes]) -> Iterator[Record]:
    """A record per line, keyed by user where one can be read."""
    for line in lines:
        value = line.removesuffix(b"\n")
        named = _names_in(value)
        yield Record(_bytes(named.username), value, login_headers(0), _bytes(named.event_id))


def sshd_records(lines: Iterable[bytes], *, year: int) -> Iterator[Record]:
    """A record per line, with its year and which of its equals it is.

    Args:
        lines: Of one file, in its order.
        year: Of the first line; it grows by one wherever the month goes back.
    """
    seen: Counter[bytes] = Counter()
    month = 0
    for line in lines:
        value = line.removesuffix(b"\n")
        stamp = _stamp(value)
        written_in = stamp[0] if stamp else month
        year += written_in < month
        month = written_in
        fingerprint = hashlib.blake2b(value, digest_size=16).digest()
        seen[fingerprint] += 1
        yield Record(None, value, line_headers("sshd", year, occurrence=seen[fingerprint]))


def first_year(lines: Iterable[bytes], *, until: datetime) -> int:
    """The year of the first line that puts the last one at or before an instant.

    Args:
        lines: Of one file, in its order.
        until: When the file was last written, or now; with a time zone.
    """
    new_years, last = 0, (0, 0, b"")
    for line in lines:
        stamp = _stamp(line) or last
        new_years += stamp[0] < last[0]
        last = stamp
    now = until.astimezone(UTC)
    is_this_year = last <= (now.month, now.day, f"{now:%H:%M:%S}".encode())
    return now.year - new_years - (not is_this_year)


@contextmanager
def opened(file: str) -> Iterator[tuple[BinaryIO, datetime]]:
    """The file's bytes and when it was last written; `-` is standard input and now.

    Raises:
        UsageError: There is no such file, or it can't be read.
    """
    if file == "-":
        yield sys.stdin.buffer, datetime.now(UTC)
        return
    try:
        source = Path(file).open("rb")  # noqa: SIM115 (closed below, where it could be opened)
    except OSError as error:
        raise UsageError(
            f"{file} can't be read ({error.strerror})", mend="Name a file, or - for standard input"
        ) from error
    with source:
        yield source, datetime.fromtimestamp(os.fstat(source.fileno()).st_mtime, UTC)


def rewindable(source: BinaryIO) -> BinaryIO:
    """The same bytes, to be read twice: a pipe is read to its end into a file without a name."""
    if source.seekable():
        return source
    copy = TemporaryFile()  # noqa: SIM115 (lives as long as its records are read)
    shutil.copyfileobj(source, copy)
    copy.seek(0)
    return copy


def _names_in(value: bytes) -> _Named:
    """What can be read; a line that is broken has no names here, and its verdict in silver."""
    try:
        return _named.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Named()


def _bytes(text: str | None) -> bytes | None:
    return text.encode() if text else None


def _stamp(line: bytes) -> tuple[int, int, bytes] | None:
    """Month, day and time of day of a syslog line; None where it has none."""
    found = _STAMP.match(line)
    if found is None:
        return None
    return _MONTH_NUMBERS[found[1]], int(found[2]), found[3]
