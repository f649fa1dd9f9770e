"""The rule brute_force_ip: many failed logins from one address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import narwhals.stable.v2 as nw
from msgspec import Meta

from gold.rules.model import Event, Rule
from gold.rules.windows import overflows, sliding_counts

DAY_SECONDS = 86_400


class BruteForceIp(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Many failed logins from one address: a fast burst or a steady stream.

    Sources of the default thresholds: CrowdSec's scenario ssh-bf for the bucket, Panther's rule "Brute Force By IP" for
    the window.
    https://github.com/crowdsecurity/hub/blob/master/scenarios/crowdsecurity/ssh-bf.yaml
    https://github.com/panther-labs/panther-analysis/blob/main/rules/standard_rules/brute_force_by_ip.yml

    Attributes:
        capacity: Failures that the leaky bucket holds; one more overflows it and fires the rule.
        leak_seconds: The bucket drains one failure in this time. A full bucket must drain within a day, because a rule
            reads one day back.
        failures: The rule also fires at this many failures within the window.
    """

    name = "brute_force_ip"
    entity = "src_ip"
    select = (nw.col("action") == "login") & (nw.col("outcome") == "failure")

    capacity: Annotated[int, Meta(ge=1)]
    leak_seconds: Annotated[float, Meta(gt=0)]
    failures: Annotated[int, Meta(ge=1)]

    def __post_init__(self) -> None:
        """Raise if the bucket remembers longer than the rule reads back."""
        if self.capacity * self.leak_seconds > DAY_SECONDS:
            raise ValueError("capacity times leak_seconds is more than a day")

    @property
    def min_occurrences(self) -> int:
        """The fewest failures with which the rule can fire."""
        return min(self.capacity + 1, self.failures)

    def find(self, events: Sequence[Event]) -> Iterator[Event]:
        """Yield the failures at which the bucket overflows or the window is full."""
        bucket = overflows(events, capacity=self.capacity, leak_seconds=self.leak_seconds)
        counts = sliding_counts(events, window=self.window)
        for event, is_overflow, count in zip(events, bucket, counts, strict=True):
            if is_overflow or count >= self.failures:
                yield event

    def measures(self, evidence: Sequence[Event]) -> dict[str, int]:
        """Return the failures and the distinct users of the evidence; an unknown user counts as one."""
        return {
            "failures": sum(event.times for event in evidence),
            "users": len({event.username for event in evidence}),
        }
