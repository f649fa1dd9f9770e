"""The rule brute_force_ip: many failed logins and probes from one address."""

from __future__ import annotations

from typing import Annotated

import polars as pl
from msgspec import Meta

from gold.rules.model import Contexts
from gold.rules.signals import SignalRule
from gold.rules.sources import CROWDSEC, PANTHER
from gold.rules.windows import overflows, sliding_counts


class BruteForceIp(SignalRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Many failed logins and probes (signals) from one address: a fast burst or a steady stream."""

    name = "brute_force_ip"
    sources = (
        f"{CROWDSEC}/ssh-bf.yaml",
        f"{PANTHER}/brute_force_by_ip.yml",
    )
    false_alarms = "A program that retries with an old password; an address that many users share."

    signals: Annotated[
        int, Meta(ge=1, description="The rule also fires at this many signals within the sliding window.")
    ]

    @property
    def min_occurrences(self) -> int:
        """The fewest signals with which the rule can fire."""
        return min(self.capacity + 1, self.signals)

    def find(self, events: Contexts) -> pl.Series:
        """Return whether the bucket overflows or the window is full."""
        bucket = overflows(events, capacity=self.capacity, leak_seconds=self.leak_seconds)
        return bucket | (sliding_counts(events, window=self.window) >= self.signals)
