"""What the rules over guesses from one address share: how many users, how many guesses, how many per user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Annotated

from msgspec import Meta

from gold.rules.model import Event, Rule
from gold.rules.signals import GUESSES
from gold.rules.windows import Tally, sliding_tallies


class GuessRule(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule over the guesses from one address, in a sliding window."""

    entity = "src_ip"
    select = GUESSES
    differs_in = ("username",)

    users: Annotated[int, Meta(ge=2, description="Different users within the window, at least.")]
    guesses: Annotated[int, Meta(ge=2, description="Guesses within the window, at least.")]
    guesses_per_user: Annotated[int, Meta(ge=1, description="Guesses of each user within the window, at most.")]

    @property
    def min_occurrences(self) -> int:
        """The fewest guesses with which the rule can fire."""
        return max(self.guesses, self.users)

    def find(self, events: Sequence[Event]) -> Iterator[Event]:
        """Yield the guesses with which the window meets all thresholds."""
        users = sliding_tallies(events, window=self.window, value=attrgetter("username"))
        for event, tally in zip(events, users, strict=True):
            if self.is_attack(tally, event):
                yield event

    def is_attack(self, tally: Tally, last: Event) -> bool:  # noqa: ARG002 (some rules read it)
        """Return whether a window meets all thresholds.

        Args:
            tally: The guesses per user in the window.
            last: The event with which the window ends.
        """
        return len(tally) >= self.users and tally.occurrences >= self.guesses and tally.most <= self.guesses_per_user

    def measures(self, evidence: Sequence[Event]) -> dict[str, int]:
        """Return the failures and the distinct users of the evidence."""
        return {
            "failures": sum(event.times for event in evidence),
            "users": len({event.username for event in evidence}),
        }
