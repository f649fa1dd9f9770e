"""Read the lines of a file or pipe, with a wait for the next line that can be interrupted."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from select import select
from tempfile import TemporaryFile
from threading import Event

from lakehouse.errors import UsageError

STANDARD_INPUT = "-"
CHUNK = 1 << 20
# Written by some editors and tools at the start of a file in UTF-8.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
POLL_SECONDS = 0.2


@contextmanager
def open_log(file: str) -> Iterator[tuple[FileIO, datetime]]:
    """Open a log file and yield it with its modification time; `-` is standard input and the current time.

    Raises:
        UsageError: The file doesn't exist or can't be read.
    """
    if file == STANDARD_INPUT:
        yield FileIO(sys.stdin.fileno(), closefd=False), datetime.now(UTC)
        return
    try:
        source = Path(file).open("rb", buffering=0)  # noqa: SIM115 (closed below)
    except OSError as error:
        raise UsageError(
            f"{file} can't be read ({error.strerror})", hint="Use the path of a log file, or - for standard input"
        ) from error
    with source:
        yield source, datetime.fromtimestamp(os.fstat(source.fileno()).st_mtime, UTC)


def read_lines(source: FileIO, stop: Event) -> Iterator[bytes]:
    """Yield each line without its LF or CRLF, until the file ends or `stop` is set.

    A byte order mark at the start of the file is dropped. An incomplete last line is yielded at the end of the file,
    but not after `stop`.
    """
    rest: bytes | None = None
    for chunk in _chunks(source, stop):
        unread = chunk.removeprefix(BYTE_ORDER_MARK) if rest is None else rest + chunk
        *complete, rest = unread.split(b"\n")
        for line in complete:
            yield line.removesuffix(b"\r")
    if rest and not stop.is_set():
        yield rest.removesuffix(b"\r")


@contextmanager
def rewindable(source: FileIO, stop: Event) -> Iterator[FileIO]:
    """Yield a file with the same bytes that can be read twice: a pipe is first copied to a temporary file."""
    if source.seekable():
        yield source
        return
    with TemporaryFile(buffering=0) as copy:
        for chunk in _chunks(source, stop):
            copy.write(chunk)
        copy.seek(0)
        yield copy


def _chunks(source: FileIO, stop: Event) -> Iterator[bytes]:
    """Yield bytes as soon as they are available, until the end or `stop`."""
    while not stop.is_set():
        if select([source], [], [], POLL_SECONDS)[0]:
            chunk = source.read(CHUNK)
            if not chunk:
                return
            yield chunk
