"""Claims about files that may be damaged: one that can't be read is a fault of its own, and ends no other check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import polars as pl
import pyarrow as pa

from lakehouse.errors import LakehouseError, LakeUnreadable, TableMissing
from loginlake.verify.files import RESTORE_FILES
from loginlake.verify.report import Check, check

# What reading a damaged lake raises: our own errors, and what polars and Arrow say of garbled files.
UNREADABLE = (LakeUnreadable, TableMissing, pl.exceptions.PolarsError, pa.ArrowException, OSError, UnicodeDecodeError)


def readable(claim: str, checks: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """The checks; where a file that they read is damaged, the claim that does not hold."""
    try:
        yield from checks()
    except UNREADABLE as error:
        yield unreadable(claim, error)


def unreadable(claim: str, error: BaseException) -> Check:
    """The claim, which does not hold since something could not be read."""
    return check(claim, [said(error)], checked=0, hint=RESTORE_FILES)


def said(error: BaseException) -> str:
    """What could not be read, and the first line of why."""
    what, cause = (
        (error.what, error.__cause__) if isinstance(error, LakehouseError) else ("A file can't be read", error)
    )
    why = str(cause).splitlines() if cause else []
    return f"{what}: {why[0]}" if why else what
