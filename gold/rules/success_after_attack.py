"""The rules success_after_attack and success_after_attack_ip: a login soon after an attack was detected."""

from __future__ import annotations

from typing import ClassVar

import polars as pl

from gold.rules.measures import OCCURRENCES, distinct
from gold.rules.model import Contexts, Rule
from gold.rules.signals import SUCCESSES
from gold.rules.sources import ELASTIC_LINUX, ELASTIC_OKTA
from gold.rules.windows import MICROSECOND


class SuccessAfterAttack(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user logs in from a new address less than a window after an attack on the account: a guess may have been right.

    Follows `distributed_brute_force_user` and `lockout_burst`. A success that ends the series of `mfa_fatigue` is part
    of that detection. An address is new if the user did not log in from it before the attack, on the same day or the
    day before; the source reports all addresses. The evidence is the successes; the attack has a detection of its own.
    """

    name = "success_after_attack"
    entity = "username"
    select = SUCCESSES
    follows: ClassVar[tuple[str, ...]] = ("distributed_brute_force_user", "lockout_burst")
    measures = (
        OCCURRENCES.alias("successes"),
        distinct("username").alias("users"),
        distinct("src_ip").alias("ips"),
    )
    is_evidence = pl.col("is_hit")
    sources: ClassVar[tuple[str, ...]] = (
        f"{ELASTIC_OKTA}/credential_access_okta_successful_login_after_credential_attack.toml",
    )
    false_alarms = "During the attack, the user logs in for the first time in days, or from a new place."

    def find_after(self, events: Contexts, hits: pl.Series) -> pl.Series:
        """Return whether a success is soon after a hit, and its user and address had no success before the hit."""
        known = events.select(pl.col("clock").min().over("context", "username", "src_ip")).to_series()
        number = hits.search_sorted(events["clock"] - self.window // MICROSECOND, side="right")
        attacked = hits.extend_constant(None, 1).gather(number)
        return ((attacked <= events["clock"]) & (attacked <= known)).fill_null(value=False)


class SuccessAfterAttackIp(SuccessAfterAttack, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new user logs in from an address less than a window after an attack from it: a guess may have been right.

    Follows the rules that find guesses and lockouts of one address. That includes the 25 failures and a success within
    15 seconds of the second source: so many signals fire `brute_force_ip`. A user is new if they did not log in from
    the address before the attack, on the same day or the day before.
    """

    name = "success_after_attack_ip"
    entity = "src_ip"
    follows = (
        "brute_force_ip",
        "brute_force_slow",
        "user_enumeration",
        "password_spray",
        "credential_stuffing",
        "lockout_burst_ip",
    )
    sources = (
        *SuccessAfterAttack.sources,
        f"{ELASTIC_LINUX}/credential_access_potential_successful_linux_ssh_bruteforce.toml",
    )
    false_alarms = "An address that many users share: the first login of each of them after an attack from it."
