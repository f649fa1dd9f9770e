"""The rule brute_force_slow: failed logins and probes from one address, at a rate too low for brute_force_ip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress

from gold.rules.model import Event
from gold.rules.signals import SignalRule
from gold.rules.windows import overflows


class BruteForceSlow(SignalRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A slow stream of signals (see `SignalRule`) from one address.

    Source of the default thresholds: CrowdSec's scenario ssh-slow-bf.
    https://github.com/crowdsecurity/hub/blob/master/scenarios/crowdsecurity/ssh-slow-bf.yaml
    """

    name = "brute_force_slow"

    def find(self, events: Sequence[Event]) -> Iterator[Event]:
        """Yield the signals at which the bucket overflows."""
        return compress(events, overflows(events, capacity=self.capacity, leak_seconds=self.leak_seconds))
