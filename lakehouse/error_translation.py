"""What the machine does to us (a full disk, a damaged file, a folder that can't be written), told in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lakehouse.errors import DiskFull, LakehouseError, LakeUnreadable, OutOfMemory, Unwritable

# A path as Java, Hadoop and Python write it.
PATH = re.compile(r"(?:\b(?:file:/*(?=/)|(?=s3a?://))|(?<![\w:/.])(?=/\w))(/[^\s'\"`(),]+|s3a?://[^\s'\"`(),]+)")
# A line of a Java stack trace that says where in the code, not what.
FRAME = re.compile(r"^\s*(?:at |\.\.\. \d+ more|File \")")


@dataclass(frozen=True)
class ErrorPattern:
    """How one kind of fault is recognized in what Spark, Delta, the JVM or Python say, and how we tell it."""

    signs: re.Pattern[str]
    error: type[LakehouseError]
    what: str
    hint: str


# The first rule that fits decides: what lies at the bottom comes before what it led to.
ERROR_PATTERNS = (
    ErrorPattern(
        re.compile(r"No space left on device|Disk quota exceeded|not enough space"),
        DiskFull,
        "There is no room left for {where}",
        "Free some and start again: it goes on where it stopped, and what was written is kept",
    ),
    ErrorPattern(
        re.compile(
            r"Read-only file system|Permission denied|Operation not permitted|[Nn]ot a directory|File exists"
            r"|Is a directory|DELTA_CANNOT_CREATE_LOG_PATH|Mkdirs failed"
        ),
        Unwritable,
        "{where} can't be written ({sign})",
        "Make it a folder that this user may write, or name others with LOGINLAKE_ROOT and LOGINLAKE_STATE",
    ),
    ErrorPattern(
        re.compile(
            r"FAILED_READ_FILE|is not a Parquet file|JsonParseException|ChecksumException|Checksum error"
            r"|DELTA_TRUNCATED_TRANSACTION_LOG|DELTA_VERSIONS_NOT_CONTIGUOUS|DELTA_LOG_FILE_NOT_FOUND"
            r"|DELTA_STATE_RECOVER_ERROR|DELTA_MISSING_PART_FILES|DELTA_FILE_NOT_FOUND|DELTA_SCHEMA_NOT_SET|FileNotFoundException"
        ),
        LakeUnreadable,
        "{where} is missing or damaged",
        "Restore it from a copy, or see with `loginlake verify --deep` what else is: silver and gold can be made anew "
        "with `loginlake rebuild`",
    ),
    ErrorPattern(
        re.compile(r"OutOfMemoryError|Java heap space"),
        OutOfMemory,
        "Spark has run out of memory",
        "Raise spark.driver.memory in a copy of conf/ that LOGINLAKE_CONF names",
    ),
)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turns what the machine did to the block into an error of ours; what is a fault of our code stays as it is.

    Raises:
        DiskFull, Unwritable, LakeUnreadable, OutOfMemory: In place of an error of Spark, Java or the system.
    """
    try:
        yield
    except Exception as error:
        fault = translate_error(error)
        if fault is None:
            raise
        raise fault from error


def translate_error(error: Exception) -> LakehouseError | None:
    """What an error of Spark, Java or the system stands for; None for any other, and for what no rule knows."""
    if isinstance(error, OSError) or hasattr(error, "java_exception") or hasattr(error, "getCondition"):
        return error_from_text(_words_of(error))
    return None


def error_from_text(words: str) -> LakehouseError | None:
    """The fault that the words of an error tell of, None where no rule knows it."""
    said = "\n".join(line for line in words.splitlines() if not FRAME.match(line))
    for pattern in ERROR_PATTERNS:
        sign = pattern.signs.search(said)
        if sign is not None:
            path = PATH.search(said)
            where = path[1].rstrip(".") if path else "a file of the lake or of LOGINLAKE_STATE"
            return pattern.error(pattern.what.format(where=where, sign=sign[0]), hint=pattern.hint, where=where)
    return None


def _words_of(error: BaseException | None) -> str:
    """All that an error says, its Java stack trace and its causes included."""
    if error is None:
        return ""
    stack = getattr(error, "_stackTrace", None) or ""
    return f"{error}\n{stack}\n{_words_of(getattr(error, '_cause', None))}"
