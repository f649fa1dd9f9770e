"""The rule brute_force_slow: failed logins and probes from one address, at a rate too low for brute_force_ip."""

from __future__ import annotations

import polars as pl

from gold.rules.model import Contexts
from gold.rules.signals import SignalRule
from gold.rules.sources import CROWDSEC
from gold.rules.windows import overflows


class BruteForceSlow(SignalRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A slow stream of failed logins and probes (signals) from one address."""

    name = "brute_force_slow"
    sources = (f"{CROWDSEC}/ssh-slow-bf.yaml",)
    false_alarms = "A program that retries with an old password; an address that many users share."

    def find(self, events: Contexts) -> pl.Series:
        """Return whether the bucket overflows."""
        return overflows(events, capacity=self.capacity, leak_seconds=self.leak_seconds)
