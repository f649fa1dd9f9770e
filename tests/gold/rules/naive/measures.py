"""What the rules report of their evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from tests.gold.rules.builders import Event


def _count(events: Sequence[Event], **values: str) -> int:
    return sum(event.times for event in events if all(getattr(event, name) == value for name, value in values.items()))


def _distinct(events: Sequence[Event], name: str) -> int:
    return len({getattr(event, name) for event in events if getattr(event, name) is not None})


def total(events: Sequence[Event]) -> int:
    return _count(events)


def distinct_users(events: Sequence[Event]) -> int:
    return _distinct(events, "username")


def distinct_ips(events: Sequence[Event]) -> int:
    return _distinct(events, "src_ip")


def distinct_countries(events: Sequence[Event]) -> int:
    return _distinct(events, "country")


Measures = dict[str, Callable[[Sequence[Event]], int]]
SIGNALS: Measures = {
    "failures": partial(_count, action="login"),
    "probes": partial(_count, action="probe"),
    "users": distinct_users,
}
GUESSES: Measures = {"failures": total, "users": distinct_users}
COUNTRIES: Measures = {"successes": total, "countries": distinct_countries, "ips": distinct_ips}
SUCCESSES: Measures = {"successes": total, "users": distinct_users, "ips": distinct_ips}
LOCKOUTS: Measures = {"lockouts": total, "users": distinct_users, "ips": distinct_ips}
MEASURES: dict[str, Measures] = {
    "brute_force_ip": SIGNALS,
    "brute_force_slow": SIGNALS,
    "user_enumeration": SIGNALS,
    "password_spray": GUESSES,
    "credential_stuffing": GUESSES,
    "distributed_brute_force_user": {"failures": total, "ips": distinct_ips, "countries": distinct_countries},
    "lockout_burst": LOCKOUTS,
    "lockout_burst_ip": LOCKOUTS,
    "mfa_fatigue": {
        "failures": partial(_count, outcome="failure"),
        "successes": partial(_count, outcome="success"),
        "ips": distinct_ips,
    },
    "several_countries": COUNTRIES,
    "impossible_travel": COUNTRIES,
    "password_spray_distributed": {"failures": total, "users": distinct_users, "ips": distinct_ips},
    "success_after_attack": SUCCESSES,
    "success_after_attack_ip": SUCCESSES,
    "session_replay": {
        "events": total,
        "clients": lambda events: len(
            {(event.agent_family, event.os_family) for event in events if event.agent_family}
        ),
        "countries": distinct_countries,
        "ips": distinct_ips,
        "users": distinct_users,
    },
    "concurrent_sessions": {
        "successes": total,
        "sessions": lambda events: _distinct(events, "session_id"),
        "ips": distinct_ips,
    },
    "listed_ip": {
        "successes": partial(_count, outcome="success"),
        "failures": partial(_count, outcome="failure"),
        "probes": partial(_count, action="probe"),
        "users": distinct_users,
    },
}
