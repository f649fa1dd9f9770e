"""The rule user_enumeration: failed logins and probes of many different users from one address."""

from __future__ import annotations

from typing import Annotated

import narwhals.stable.v2 as nw
import polars as pl
from msgspec import Meta

from gold.rules.model import Contexts
from gold.rules.signals import DAY_SECONDS, SIGNALS, SignalRule
from gold.rules.sources import CROWDSEC
from gold.rules.windows import distinct_overflows


class UserEnumeration(SignalRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Failed logins and probes (signals) of many different users from one address, fast or slowly.

    Each user counts once, until the leaky bucket is empty.
    """

    name = "user_enumeration"
    select = SIGNALS & ~nw.col("username").is_null()
    differs_in = ("username",)
    sources = (
        f"{CROWDSEC}/ssh-bf.yaml",
        f"{CROWDSEC}/ssh-slow-bf.yaml",
    )
    false_alarms = "An address that many users share, at the start of work or while a server of theirs is down."

    capacity: Annotated[
        int, Meta(ge=1, description="Users that the leaky bucket holds; one more overflows it and fires the rule.")
    ]
    leak_seconds: Annotated[float, Meta(gt=0, description="The bucket drains one user in this time.")]
    slow_capacity: Annotated[int, Meta(ge=1, description="Users that a second, slower bucket holds.")]
    slow_leak_seconds: Annotated[float, Meta(gt=0, description="The slower bucket drains one user in this time.")]

    def __post_init__(self) -> None:
        """Raise if a bucket remembers longer than the rule reads back."""
        super().__post_init__()
        if self.slow_capacity * self.slow_leak_seconds > DAY_SECONDS:
            raise ValueError("slow_capacity times slow_leak_seconds is more than a day")

    @property
    def min_occurrences(self) -> int:
        """The fewest signals with which one of the buckets overflows."""
        return min(self.capacity, self.slow_capacity) + 1

    def find(self, events: Contexts) -> pl.Series:
        """Return whether one of the buckets overflows."""
        fast, slow = (
            distinct_overflows(events, "username", capacity=capacity, leak_seconds=leak_seconds)
            for capacity, leak_seconds in (
                (self.capacity, self.leak_seconds),
                (self.slow_capacity, self.slow_leak_seconds),
            )
        )
        return fast | slow
