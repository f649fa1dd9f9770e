"""The rules lockout_burst and lockout_burst_ip: accounts are locked again and again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import narwhals.stable.v2 as nw
from msgspec import Meta

from gold.rules.model import Event, Rule
from gold.rules.sources import ELASTIC_OKTA
from gold.rules.windows import sliding_counts


class LockoutBurst(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The account of one user is locked again and again.

    In the format sshd, a lockout is a connection that sshd ends after too many attempts; the account stays open.
    """

    name = "lockout_burst"
    entity = "username"
    select = nw.col("action") == "lockout"
    sources = (f"{ELASTIC_OKTA}/credential_access_attempts_to_brute_force_okta_user_account.toml",)
    false_alarms = "A device or a program that goes on with the user's old password."

    lockouts: Annotated[int, Meta(ge=1, description="Lockouts within the window, at least.")]

    @property
    def min_occurrences(self) -> int:
        """The fewest lockouts with which the rule can fire."""
        return self.lockouts

    def find(self, events: Sequence[Event]) -> Iterator[Event]:
        """Yield the lockouts with which the window has enough of them."""
        for event, count in zip(events, sliding_counts(events, window=self.window), strict=True):
            if count >= self.lockouts:
                yield event

    def measures(self, evidence: Sequence[Event]) -> dict[str, int]:
        """Return the lockouts, the distinct users and the distinct addresses of the evidence."""
        return {
            "lockouts": sum(event.times for event in evidence),
            "users": len({event.username for event in evidence} - {None}),
            "ips": len({event.src_ip for event in evidence} - {None}),
        }


class LockoutBurstIp(LockoutBurst, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Accounts are locked again and again because of one address.

    The source counts lockouts per user; this rule takes its threshold for an address.
    """

    name = "lockout_burst_ip"
    entity = "src_ip"
    false_alarms = "An address that many users share; a program that goes on with an old password."
