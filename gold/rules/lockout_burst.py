"""The rules lockout_burst and lockout_burst_ip: accounts are locked again and again."""

from __future__ import annotations

from typing import Annotated

import narwhals.stable.v2 as nw
import polars as pl
from msgspec import Meta

from gold.rules.measures import OCCURRENCES, distinct
from gold.rules.model import Contexts, Rule
from gold.rules.sources import ELASTIC_OKTA
from gold.rules.windows import sliding_counts


class LockoutBurst(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The account of one user is locked again and again.

    In the format sshd, a lockout is a connection that sshd ends after too many attempts; the account stays open.
    """

    name = "lockout_burst"
    entity = "username"
    select = nw.col("action") == "lockout"
    measures = (
        OCCURRENCES.alias("lockouts"),
        distinct("username").alias("users"),
        distinct("src_ip").alias("ips"),
    )
    sources = (f"{ELASTIC_OKTA}/credential_access_attempts_to_brute_force_okta_user_account.toml",)
    false_alarms = "A device or a program that goes on with the user's old password."

    lockouts: Annotated[int, Meta(ge=1, description="Lockouts within the window, at least.")]

    @property
    def min_occurrences(self) -> int:
        """The fewest lockouts with which the rule can fire."""
        return self.lockouts

    def find(self, events: Contexts) -> pl.Series:
        """Return whether the window has enough lockouts."""
        return sliding_counts(events, window=self.window) >= self.lockouts


class LockoutBurstIp(LockoutBurst, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Accounts are locked again and again because of one address.

    The source counts lockouts per user; this rule takes its threshold for an address.
    """

    name = "lockout_burst_ip"
    entity = "src_ip"
    false_alarms = "An address that many users share; a program that goes on with an old password."
