"""The rule mfa_fatigue: a user's second factor is asked for and refused again and again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Annotated

import narwhals.stable.v2 as nw
from msgspec import Meta

from gold.rules.model import Event, Rule, Severity
from gold.rules.sources import ELASTIC_OKTA


class MfaFatigue(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user fails or refuses the second factor again and again: someone has the password and asks until they give in.

    A success with a second factor ends the series. If it follows within a window after the rule fired, it belongs to
    the detection and raises its severity.
    """

    name = "mfa_fatigue"
    entity = "username"
    is_counted = nw.col("outcome") == "failure"
    select = (nw.col("action") == "login") & (
        ((nw.col("outcome") == "failure") & (nw.col("failure_reason") == "mfa_failed"))
        | ((nw.col("outcome") == "success") & nw.col("is_mfa"))
    )
    sources = (
        f"{ELASTIC_OKTA}/credential_access_okta_mfa_bombing_via_push_notifications.toml",
        f"{ELASTIC_OKTA}/credential_access_okta_potentially_successful_okta_bombing_via_push_notifications.toml",
    )
    false_alarms = "A user who mistypes one-time codes, or whose device has a wrong clock."

    failures: Annotated[int, Meta(ge=1, description="Failures of the second factor within the window, at least.")]
    severity_after_success: Annotated[
        Severity, Meta(description="Severity of a detection in which a success followed.")
    ]

    @property
    def min_occurrences(self) -> int:
        """The fewest failures with which the rule can fire."""
        return self.failures

    def find(self, events: Sequence[Event]) -> Iterator[Event]:
        """Yield the failures with which the window has enough of them, and a success that soon follows."""
        recent: deque[Event] = deque()
        count = 0
        fired: Event | None = None
        for event in events:
            if event.outcome == "success":
                if fired and event.at - fired.at < self.window:
                    yield event
                recent.clear()
                count, fired = 0, None
                continue
            recent.append(event)
            count += event.times
            while recent[0].at <= event.at - self.window:
                count -= recent.popleft().times
            if count >= self.failures:
                fired = event
                yield event

    def severity_of(self, hits: Sequence[Event]) -> Severity:
        """Return the higher severity if one of the hits is a success."""
        return self.severity_after_success if any(hit.outcome == "success" for hit in hits) else self.severity

    def measures(self, evidence: Sequence[Event]) -> dict[str, int]:
        """Return the failures, the successes and the distinct addresses of the evidence."""
        return {
            "failures": sum(event.times for event in evidence if event.outcome == "failure"),
            "successes": sum(event.times for event in evidence if event.outcome == "success"),
            "ips": len({event.src_ip for event in evidence} - {None}),
        }
