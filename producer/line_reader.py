"""The lines of a file or pipe, read so that a wait for the next one can be ended."""

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
GLANCE_SECONDS = 0.2


@contextmanager
def opened(file: str) -> Iterator[tuple[FileIO, datetime]]:
    """The file and when it was last written; `-` is standard input and now.

    Raises:
        UsageError: There is no such file, or it can't be read.
    """
    if file == STANDARD_INPUT:
        yield FileIO(sys.stdin.fileno(), closefd=False), datetime.now(UTC)
        return
    try:
        source = Path(file).open("rb", buffering=0)  # noqa: SIM115 (closed below, where it could be opened)
    except OSError as error:
        raise UsageError(
            f"{file} can't be read ({error.strerror})", hint="Name a file, or - for standard input"
        ) from error
    with source:
        yield source, datetime.fromtimestamp(os.fstat(source.fileno()).st_mtime, UTC)


def lines(source: FileIO, stop: Event) -> Iterator[bytes]:
    """Each line without its end, LF or CRLF, until the file ends; or until `stop`, then without a line's beginning."""
    rest = b""
    for chunk in _chunks(source, stop):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r")
    if rest and not stop.is_set():
        yield rest.removesuffix(b"\r")


@contextmanager
def rewindable(source: FileIO, stop: Event) -> Iterator[FileIO]:
    """The same bytes, to be read twice: a pipe is read to its end, into a file without a name."""
    if source.seekable():
        yield source
        return
    with TemporaryFile(buffering=0) as copy:
        for chunk in _chunks(source, stop):
            copy.write(chunk)
        copy.seek(0)
        yield copy


def _chunks(source: FileIO, stop: Event) -> Iterator[bytes]:
    """What is there as soon as it is, until the end or `stop`."""
    while not stop.is_set():
        if select([source], [], [], GLANCE_SECONDS)[0]:
            chunk = source.read(CHUNK)
            if not chunk:
                return
            yield chunk
