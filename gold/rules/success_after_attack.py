"""The rules success_after_attack and success_after_attack_ip: a login soon after an attack was detected."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar

import polars as pl
from msgspec import Meta

from gold.rules.measures import OCCURRENCES, distinct
from gold.rules.model import Contexts, Rule
from gold.rules.signals import GUESSES, SUCCESSES
from gold.rules.sources import ELASTIC_LINUX, ELASTIC_OKTA
from gold.rules.windows import MICROSECOND, at_rows, regrouped, sliding_counts, split


class SuccessAfterAttack(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user logs in from a new address less than a window after an attack on the account: a guess may have been right.

    Follows `distributed_brute_force_user` and `lockout_burst`. A success that ends the series of `mfa_fatigue` is part
    of that detection. An address is new if the user logged in neither from it nor on the same device before the attack,
    on the same day or the day before; the source reports all addresses. A success with a second factor is not reported:
    a guess gives the password alone. The evidence is the successes; the attack has a detection of its own.
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
        """Return whether a success is soon after a hit, and may be the attacker's."""
        number = hits.search_sorted(events["clock"] - self.window // MICROSECOND, side="right")
        attacked = hits.extend_constant(None, 1).gather(number)
        is_by_password = (events["outcome"] == "success") & ~events["is_mfa"].fill_null(value=False)
        return (is_by_password & (attacked <= events["clock"]) & self.is_suspicious(events, attacked)).fill_null(
            value=False
        )

    def is_suspicious(self, events: Contexts, attacked: pl.Series) -> pl.Series:
        """Return for each success whether it may be the attacker's: the address and the device are new.

        Args:
            events: As for `find_after`.
            attacked: The clock of the first hit that is less than a window before each event.
        """
        at_success = pl.when(pl.col("outcome") == "success").then("clock")
        known = pl.min_horizontal(
            at_success.min().over("context", "username", "src_ip"),
            pl.when(pl.col("device_id").is_not_null()).then(at_success.min().over("context", "username", "device_id")),
        )
        return attacked <= events.select(known).to_series()


class SuccessAfterAttackIp(SuccessAfterAttack, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new user logs in from an address less than a window after an attack from it: a guess may have been right.

    Follows the rules that find guesses and lockouts of one address. A user is new if they did not log in from the
    address before the attack, on the same day or the day before. A success with a second factor is not reported, as in
    `success_after_attack`. A user who is not new is reported as well if the
    success ends a long series of guesses at them within seconds. The second source wants the whole series within these
    seconds, which a program that opens a connection for each guess does not reach.
    """

    name = "success_after_attack_ip"
    entity = "src_ip"
    select = SUCCESSES | GUESSES
    is_counted = pl.col("outcome") == "success"
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

    guesses: Annotated[int, Meta(ge=1, description="Guesses at a user who is not new, in a series within the window.")]
    seconds: Annotated[
        float, Meta(gt=0, description="A success less than this after the last guess of the series ends it.")
    ]

    def is_suspicious(self, events: Contexts, attacked: pl.Series) -> pl.Series:
        """Return for each success whether its user is new or it ends a series of guesses."""
        return super().is_suspicious(events, attacked) | self.ends_series(events)

    def ends_series(self, events: Contexts) -> pl.Series:
        """Return for each event whether it is within seconds after many guesses at its user without a success."""
        of_users = regrouped(events, "username")
        series = split(of_users, (of_users["outcome"] == "success").shift(1, fill_value=False))
        guesses = pl.when(pl.col("outcome") == "failure").then("times").otherwise(0)
        count = sliding_counts(series.with_columns(times=guesses), window=self.window)
        is_soon = series["clock"].diff() < timedelta(seconds=self.seconds) // MICROSECOND
        return at_rows(series["row"].filter((count >= self.guesses) & is_soon), of=events)
