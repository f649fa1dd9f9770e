"""The report of `verify`: each claim with its figures, its faults and a hint."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import polars as pl
import pyarrow as pa

from lakehouse.errors import LakehouseError, LakeUnreadable, SchemaDiffers, TableMissing
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import LABELS, RESTATEMENTS, SNAPSHOTS

# All faults of a claim are counted, but only the first ones are listed.
MAX_DETAILS = 1_000
# Tables whose rows do not follow from those of another table.
NOT_REBUILT = frozenset(table.full_name for table in (RAW_LOGS, SNAPSHOTS, RESTATEMENTS, LABELS))
# The end of a message for the developers of delta-rs or polars: their data structures, and how to get more of it.
INTERNALS = re.compile(r":? *\b[A-Z]\w+ \{.*| \(set POLARS_VERBOSE=1 .*\)")
# What reading a damaged lake raises: our own errors, and those of polars, Arrow and the file system.
UNREADABLE = (
    LakeUnreadable,
    SchemaDiffers,
    TableMissing,
    pl.exceptions.PolarsError,
    pa.ArrowException,
    OSError,
    UnicodeDecodeError,
)


@dataclass(frozen=True)
class Check:
    """The result of checking one claim.

    Attributes:
        claim: What must be true.
        passed: True if there is no fault; None if the claim could not be checked.
        checked: Number of rows, files or other things that were checked.
        faults: Number of faults.
        details: The first faults, each with its place; or why the claim could not be checked.
        notes: Observations that are not faults.
        hint: What the user can do about the faults; empty if there are none.
    """

    claim: str
    passed: bool | None
    checked: int = 0
    faults: int = 0
    details: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    hint: str = ""


@dataclass(frozen=True)
class BlockedCheck(Check):
    """A check that failed because a table that it needs can't be read; the fault itself is that of another check."""


@dataclass(frozen=True)
class Report:
    """The result of `verify`.

    Attributes:
        snapshot: The snapshot at which gold was checked; None if none is published.
        checks: One result per claim.
        layers: Number of records in Kafka (None without a broker) and of rows in bronze and silver (None if they can't
            be read).
        verdicts: Number of silver rows per verdict.
        unread: Number of Kafka records that bronze, and of bronze rows that silver has not read yet. This is not a
            fault. For an earlier snapshot: what arrived after it.
    """

    snapshot: int | None
    checks: list[Check]
    layers: dict[str, int | None]
    verdicts: dict[str, int]
    unread: dict[str, int]

    @property
    def ok(self) -> bool:
        """True if no check failed; skipped checks count as passed."""
        return all(check.passed is not False for check in self.checks)

    @property
    def skipped(self) -> int:
        """The number of checks that could not be made."""
        return sum(check.passed is None for check in self.checks)

    @property
    def summary(self) -> str:
        """The result in one line: how many checks failed and how many were skipped."""
        failed = sum(check.passed is False for check in self.checks)
        result = f"verify: {failed} of {len(self.checks)} checks failed" if failed else "verify: ok"
        return f"{result}{self._skipped_text}"

    @property
    def strict_summary(self) -> str:
        """The result in one line if a skipped check is a failure too."""
        if self.ok and self.skipped:
            return f"verify: failed because of --strict{self._skipped_text}"
        return self.summary

    @property
    def _skipped_text(self) -> str:
        return f", {self.skipped} check{'s' if self.skipped > 1 else ''} skipped" if self.skipped else ""

    def to_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return {"ok": self.ok, **asdict(self)}


def check(  # noqa: PLR0913 (the parts of a result)
    claim: str,
    faults: Iterable[str],
    *,
    checked: int,
    hint: str,
    count: int | None = None,
    notes: Sequence[str] = (),
) -> Check:
    """Return the result for a claim, which passes if there are no faults.

    Args:
        claim: What must be true.
        faults: The faults, each with its place.
        checked: Number of things that were checked.
        hint: What the user can do about a fault.
        count: Number of faults, if one entry of `faults` stands for several.
        notes: Observations that are not faults.
    """
    remaining = iter(faults)
    details = list(islice(remaining, MAX_DETAILS))
    total = len(details) + sum(1 for _ in remaining) if count is None else count
    return Check(claim, total == 0, checked, total, details, list(notes), hint if total else "")


def skipped(claim: str, reason: str, *, hint: str = "") -> Check:
    """Return the result for a claim that could not be checked."""
    return Check(claim, None, details=[reason], hint=hint)


def catch_unreadable(claim: str, checks: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """Yield the checks; if they raise because of a damaged file, yield `claim` as failed instead of raising."""
    try:
        yield from checks()
    except UNREADABLE as error:
        table = error.parts.get("table") if isinstance(error, LakehouseError) else None
        hint = error.hint if isinstance(error, SchemaDiffers) else restore_hint("its files", [str(table)])
        yield BlockedCheck(claim, passed=False, faults=1, details=[_describe(error)], hint=hint)


def restore_hint(files: str, tables: Iterable[str]) -> str:
    """Return how to repair damaged files of tables, given by full name: from a copy, or by a rebuild of their layer."""
    names = set(tables)
    layers = {name.partition(".")[0] for name in names - NOT_REBUILT}
    # A rebuild of silver also rebuilds gold.
    layer = next((layer for layer in ("silver", "gold") if layer in layers), None)
    restore = f"Restore {files} from a copy of the lake"
    if layer is None:
        return restore
    command = f"`loginlake rebuild {layer}`"
    return f"{restore}. For {layer}, {command} is enough" if names & NOT_REBUILT else f"{restore}, or run {command}"


def _describe(error: BaseException) -> str:
    """Return what could not be read and the first line of the reason."""
    what, cause = (
        (error.what, error.__cause__) if isinstance(error, LakehouseError) else ("A file can't be read", error)
    )
    reason = str(cause).splitlines() if cause else []
    return f"{what}: {INTERNALS.sub('', reason[0])}" if reason else what
