"""The rules success_after_attack and success_after_attack_ip: a login soon after an attack was detected."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import attrgetter
from typing import ClassVar

from gold.rules.model import Event, Rule
from gold.rules.signals import SUCCESSES
from gold.rules.sources import ELASTIC_LINUX, ELASTIC_OKTA


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
    sources: ClassVar[tuple[str, ...]] = (
        f"{ELASTIC_OKTA}/credential_access_okta_successful_login_after_credential_attack.toml",
    )
    false_alarms = "During the attack, the user logs in for the first time in days, or from a new place."

    def find_after(self, events: Sequence[Event], hits: Sequence[Event]) -> Iterator[Event]:
        """Yield the successes less than a window after a hit, of a user and an address without an earlier success."""
        first_at: dict[tuple[str | None, str | None], datetime] = {}
        for event in events:
            known_at = first_at.setdefault((event.username, event.src_ip), event.at)
            number = bisect_right(hits, event.at - self.window, key=attrgetter("at"))
            if number < len(hits) and hits[number].at <= min(event.at, known_at):
                yield event

    def evidence(self, events: Sequence[Event], hits: Sequence[Event]) -> Sequence[Event]:  # noqa: ARG002 (not needed)
        """Return the successes at which the rule fired."""
        return hits

    def measures(self, evidence: Sequence[Event]) -> dict[str, int]:
        """Return the successes, the distinct users and the distinct addresses of the evidence."""
        return {
            "successes": sum(event.times for event in evidence),
            "users": len({event.username for event in evidence} - {None}),
            "ips": len({event.src_ip for event in evidence} - {None}),
        }


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
