"""The rule user_enumeration: failed logins and probes of many different users from one address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Annotated

import narwhals.stable.v2 as nw
from msgspec import Meta

from gold.rules.model import Event
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

    def find(self, events: Sequence[Event]) -> Iterator[Event]:
        """Yield the signals at which one of the buckets overflows."""
        user = attrgetter("username")
        fast = distinct_overflows(events, capacity=self.capacity, leak_seconds=self.leak_seconds, value=user)
        slow = distinct_overflows(events, capacity=self.slow_capacity, leak_seconds=self.slow_leak_seconds, value=user)
        for event, *is_overflow in zip(events, fast, slow, strict=True):
            if any(is_overflow):
                yield event
