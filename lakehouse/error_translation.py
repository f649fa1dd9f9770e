"""Translate errors of Spark, Java and the system, such as a full disk or a damaged file, to a `LakehouseError`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lakehouse.errors import ClusterFailed, DiskFull, LakehouseError, LakeUnreadable, OutOfMemory, Unwritable
from lakehouse.s3 import is_of_store, unreachable

# A path as Java, Hadoop and Python write it.
PATH = re.compile(r"(?:\b(?:file:/*(?=/)|(?=s3a?://))|(?<![\w:/.])(?=/\w))(/[^\s'\"`(),]+|s3a?://[^\s'\"`(),]+)")
# A line of a stack trace that names code.
FRAME = re.compile(r"^\s*(?:at |\.\.\. \d+ more|File \")")


@dataclass(frozen=True)
class ErrorPattern:
    """A kind of error: how it is recognized in the text of Spark, Delta, the JVM or Python, and what it becomes."""

    pattern: re.Pattern[str]
    error: type[LakehouseError]
    what: str
    hint: str


# The first pattern that matches decides: a cause is listed before its effects.
ERROR_PATTERNS = (
    ErrorPattern(
        re.compile(r"No space left on device|Disk quota exceeded|not enough space"),
        DiskFull,
        "No space is left on the disk for {where}",
        "Free some space and start again: it continues where it stopped, and everything committed is kept",
    ),
    ErrorPattern(
        re.compile(
            r"Read-only file system|Permission denied|Operation not permitted|[Nn]ot a directory|File exists"
            r"|Is a directory|DELTA_CANNOT_CREATE_LOG_PATH|Mkdirs failed"
        ),
        Unwritable,
        "{where} can't be written ({match})",
        "Make it a folder that this user may write, or set LOGINLAKE_ROOT and LOGINLAKE_STATE to other folders",
    ),
    ErrorPattern(
        re.compile(
            r"FAILED_READ_FILE|is not a Parquet file|JsonParseException|ChecksumException|Checksum error"
            r"|DELTA_TRUNCATED_TRANSACTION_LOG|DELTA_VERSIONS_NOT_CONTIGUOUS|DELTA_LOG_FILE_NOT_FOUND"
            r"|DELTA_STATE_RECOVER_ERROR|DELTA_MISSING_PART_FILES|DELTA_FILE_NOT_FOUND|DELTA_SCHEMA_NOT_SET|FileNotFoundException"
        ),
        LakeUnreadable,
        "{where} is missing or damaged",
        "Restore it from a copy. `loginlake verify --deep` lists all damage; `loginlake rebuild` writes silver or gold "
        "again",
    ),
    ErrorPattern(
        re.compile(r"OutOfMemoryError|Java heap space"),
        OutOfMemory,
        "Spark has run out of memory",
        "Raise spark.driver.memory in a copy of conf/, and set LOGINLAKE_CONF to that folder",
    ),
    ErrorPattern(
        re.compile(r"ExecutorLostFailure|Master removed our application|All masters are unresponsive"),
        ClusterFailed,
        "The Spark cluster has lost its executors or its master ({match})",
        "Start the job again: it continues after the last commit. The workers' logs have the reason",
    ),
)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Translate the errors that the block raises; an error in our own code is raised unchanged.

    Raises:
        DiskFull, Unwritable, StoreUnreachable, LakeUnreadable, OutOfMemory, ClusterFailed: Instead of an error of
            Spark, Java or the system.
    """
    try:
        yield
    except Exception as error:
        translated = translate_error(error)
        if translated is None:
            raise
        raise translated from error


def translate_error(error: Exception) -> LakehouseError | None:
    """Return the translation of an error of Spark, Java or the system; None for another error, or an unknown text."""
    if isinstance(error, OSError) or hasattr(error, "java_exception") or hasattr(error, "getCondition"):
        return error_from_text(_text_of(error))
    return None


def error_from_text(full_text: str) -> LakehouseError | None:
    """Return the translation of the text of an error; None if no pattern matches."""
    text = "\n".join(line for line in full_text.splitlines() if not FRAME.match(line))
    if is_of_store(text):
        return unreachable(text)
    for each in ERROR_PATTERNS:
        match = each.pattern.search(text)
        if match is not None:
            path = PATH.search(text)
            where = path[1].rstrip(".") if path else "a file of the lake or of LOGINLAKE_STATE"
            return each.error(each.what.format(where=where, match=match[0]), hint=each.hint, where=where)
    return None


def _text_of(error: BaseException | None) -> str:
    """Return the text of an error with its Java stack trace and its causes."""
    if error is None:
        return ""
    stack = getattr(error, "_stackTrace", None) or ""
    return f"{error}\n{stack}\n{_text_of(getattr(error, '_cause', None))}"
