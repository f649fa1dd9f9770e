"""What rules count: successes, signals and guesses; and what the rules over one leaky bucket share."""

from __future__ import annotations

from typing import Annotated

import narwhals.stable.v2 as nw
import polars as pl
from msgspec import Meta

from gold.rules.measures import PROBES
from gold.rules.model import Rule

DAY_SECONDS = 86_400

SUCCESSES = (nw.col("action") == "login") & (nw.col("outcome") == "success")

# A public key that is refused is a signal only for an unknown user: OpenSSH's clients offer all their keys, and the
# next one may be the right one.
FAILURES = (
    (nw.col("action") == "login")
    & (nw.col("outcome") == "failure")
    & (
        nw.col("auth_method").is_null()
        | (nw.col("auth_method") != "publickey")
        | (nw.col("failure_reason") == "unknown_user")
    )
)
# A signal is a failure or a probe: a client that leaves before it tries a password.
SIGNALS = (nw.col("action") == "probe") | FAILURES
GUESS_REASONS = ("invalid_credentials", "unknown_user", "account_locked", "too_many_attempts")
# A guess is a failure of a named user whose password may have been wrong; not one whose password was right but
# expired, or who failed the second factor.
GUESSES = (
    FAILURES
    & ~nw.col("username").is_null()
    & (nw.col("failure_reason").is_null() | nw.col("failure_reason").is_in(GUESS_REASONS))
)


class SignalRule(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule over the signals of one address, with a leaky bucket."""

    entity = "src_ip"
    select = SIGNALS
    # A null user name counts as one.
    measures = (
        pl.col("times").filter(pl.col("action") == "login").sum().alias("failures"),
        PROBES.alias("probes"),
        pl.col("username").n_unique().alias("users"),
    )

    capacity: Annotated[
        int, Meta(ge=1, description="Signals that the leaky bucket holds; one more overflows it and fires the rule.")
    ]
    # A full bucket must drain within a day, because a rule reads one day back.
    leak_seconds: Annotated[float, Meta(gt=0, description="The bucket drains one signal in this time.")]

    def __post_init__(self) -> None:
        """Raise if the bucket remembers longer than the rule reads back."""
        super().__post_init__()
        if self.capacity * self.leak_seconds > DAY_SECONDS:
            raise ValueError("capacity times leak_seconds is more than a day")

    @property
    def min_occurrences(self) -> int:
        """The fewest signals with which the bucket overflows."""
        return self.capacity + 1
