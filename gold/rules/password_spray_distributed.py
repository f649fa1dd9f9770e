"""The rule password_spray_distributed: guesses at many users of an app from several addresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Annotated

import narwhals.stable.v2 as nw
from msgspec import Meta

from gold.rules.model import Event, Rule
from gold.rules.signals import GUESSES, SUCCESSES
from gold.rules.sources import ELASTIC_OKTA
from gold.rules.windows import Tally, sliding_counts, sliding_tallies


class PasswordSprayDistributed(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A few wrong passwords for each of many users of one app, from several addresses that share the work.

    `percent` is not from the source: without it, the mistakes of the users of any busy app would be an attack.
    """

    name = "password_spray_distributed"
    entity = "app"
    select = GUESSES | SUCCESSES
    is_counted = nw.col("outcome") == "failure"
    differs_in = ("src_ip",)
    sources = (f"{ELASTIC_OKTA}/credential_access_okta_password_spray_multi_source.toml",)
    false_alarms = "A server that checks passwords is down; many passwords expire on the same day."

    ips: Annotated[int, Meta(ge=2, description="Addresses with a guess within the window, at least.")]
    users: Annotated[int, Meta(ge=1, description="Users with a guess within the window, at least.")]
    guesses: Annotated[int, Meta(ge=1, description="Guesses within the window, at least.")]
    guesses_per_user: Annotated[float, Meta(gt=0, description="Guesses per user in the mean, at most.")]
    users_per_ip: Annotated[float, Meta(ge=0, description="Users divided by addresses, at least.")]
    percent: Annotated[float, Meta(ge=0, le=100, description="Percentage of the guesses in all logins, at least.")]

    @property
    def min_occurrences(self) -> int:
        """The fewest guesses with which the rule can fire."""
        return self.guesses

    def find(self, events: Sequence[Event]) -> Iterator[Event]:
        """Yield the guesses with which the window meets all thresholds."""
        guesses = [event for event in events if event.outcome == "failure"]
        users = sliding_tallies(guesses, window=self.window, value=attrgetter("username"))
        ips = sliding_tallies(guesses, window=self.window, value=attrgetter("src_ip"))
        for event, logins in zip(events, sliding_counts(events, window=self.window), strict=True):
            if event.outcome == "failure" and self.is_spray(next(users), next(ips), logins=logins):
                yield event

    def is_spray(self, users: Tally, ips: Tally, *, logins: int) -> bool:
        """Return whether a window meets all thresholds.

        Args:
            users: The guesses per user.
            ips: The guesses per address.
            logins: The guesses and successes.
        """
        return (
            users.occurrences >= self.guesses
            and len(users) >= self.users
            and len(ips) >= self.ips
            and users.occurrences <= self.guesses_per_user * len(users)
            and len(users) >= self.users_per_ip * len(ips)
            and 100 * users.occurrences >= self.percent * logins
        )

    def evidence(self, events: Sequence[Event], hits: Sequence[Event]) -> Sequence[Event]:
        """Return the guesses from one window before the first hit to the last hit."""
        return [event for event in super().evidence(events, hits) if event.outcome == "failure"]

    def measures(self, evidence: Sequence[Event]) -> dict[str, int]:
        """Return the failures, the distinct users and the distinct addresses of the evidence."""
        return {
            "failures": sum(event.times for event in evidence),
            "users": len({event.username for event in evidence}),
            "ips": len({event.src_ip for event in evidence} - {None}),
        }
