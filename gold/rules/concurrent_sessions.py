"""The rule concurrent_sessions: a user starts several sessions within minutes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Annotated

import narwhals.stable.v2 as nw
from msgspec import Meta

from gold.rules.model import Event, Rule
from gold.rules.signals import SUCCESSES
from gold.rules.sources import ELASTIC_OKTA
from gold.rules.windows import sliding_tallies


class ConcurrentSessions(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One user starts several sessions within a short time.

    Its severity is low, because the source counts the sessions of a single sign-on: here each app may have its own.
    """

    name = "concurrent_sessions"
    entity = "username"
    select = SUCCESSES & ~nw.col("session_id").is_null()
    differs_in = ("session_id",)
    sources = (f"{ELASTIC_OKTA}/lateral_movement_multiple_sessions_for_single_user.toml",)
    false_alarms = "A user who logs in to several apps or on several devices; an account that a program uses."

    sessions: Annotated[int, Meta(ge=2, description="Sessions within the window, at least.")]

    @property
    def min_occurrences(self) -> int:
        """The fewest successes with which the rule can fire."""
        return self.sessions

    def find(self, events: Sequence[Event]) -> Iterator[Event]:
        """Yield the successes with which the window has enough sessions."""
        tallies = sliding_tallies(events, window=self.window, value=attrgetter("session_id"))
        for event, sessions in zip(events, tallies, strict=True):
            if len(sessions) >= self.sessions:
                yield event

    def measures(self, evidence: Sequence[Event]) -> dict[str, int]:
        """Return the successes, the distinct sessions and the distinct addresses of the evidence."""
        return {
            "successes": sum(event.times for event in evidence),
            "sessions": len({event.session_id for event in evidence}),
            "ips": len({event.src_ip for event in evidence} - {None}),
        }
