"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lakehouse.errors import LakehouseError

INSTALL_READERS = "To compare them: `pip install 'loginlake[serving]'`"
INSTALL_SPARK = "To run jobs: `pip install 'loginlake[spark]'`; reading, verify and serve work without it"


class State(StrEnum):
    """Severity of a finding."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: Name of the check.
        state: Severity.
        what: What was found.
        hint: How to fix it; empty if nothing is wrong.
    """

    check: str
    state: State
    what: str
    hint: str = ""


def failed(check: str, error: LakehouseError) -> Finding:
    """Return the finding of a check that ended with an error."""
    return Finding(check, State.FAIL, error.what, error.hint)
