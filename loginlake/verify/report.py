"""What `verify` found: each claim with its figures, the faults by name, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

# So many faults of one claim are named; all are counted.
NAMED = 1_000


@dataclass(frozen=True)
class Check:
    """One claim of the law and whether it holds.

    Attributes:
        claim: What must hold.
        holds: Whether it does; None where it could not be checked.
        checked: How many things were looked at.
        faults: How many of them contradict it.
        named: The first faults by name; or why it could not be checked.
        notes: What is worth knowing and no fault.
        hint: What to do about the faults, in one line; empty where there is none.
    """

    claim: str
    holds: bool | None
    checked: int = 0
    faults: int = 0
    named: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    hint: str = ""


@dataclass(frozen=True)
class Report:
    """What `verify` found.

    Attributes:
        snapshot: The snapshot that gold was checked at; None where none is published.
        checks: Each claim.
        layers: Records in Kafka (None without a broker), rows in bronze and silver (None where they can't be read).
        verdicts: Silver rows per verdict.
        unread: Kafka records that bronze, and bronze rows that silver has not read yet: work to do, no fault. Of an
            earlier snapshot: what came after it.
    """

    snapshot: int | None
    checks: list[Check]
    layers: dict[str, int | None]
    verdicts: dict[str, int]
    unread: dict[str, int]

    @property
    def ok(self) -> bool:
        """True where nothing contradicts the law; what could not be checked does not."""
        return all(check.holds is not False for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """The report for JSON."""
        return {"ok": self.ok, **asdict(self)}


def check(  # noqa: PLR0913 (the parts of a claim)
    claim: str,
    faults: Iterable[str],
    *,
    checked: int,
    hint: str,
    count: int | None = None,
    notes: Sequence[str] = (),
) -> Check:
    """The claim, which holds where there is no fault.

    Args:
        claim: What must hold.
        faults: Those found, each by name.
        checked: How many things were looked at.
        hint: What to do about a fault.
        count: How many faults there are, where a name stands for several.
        notes: What is worth knowing and no fault.
    """
    remaining = iter(faults)
    named = list(islice(remaining, NAMED))
    found = len(named) + sum(1 for _ in remaining) if count is None else count
    return Check(claim, found == 0, checked, found, named, list(notes), hint if found else "")


def skipped(claim: str, why: str, *, hint: str = "") -> Check:
    """The claim where it could not be checked."""
    return Check(claim, None, named=[why], hint=hint)
