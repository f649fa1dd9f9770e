"""Rules over guesses: where they fire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tests.gold.rules.builders import Event
from tests.gold.rules.naive.measures import distinct_ips, distinct_users, total
from tests.gold.rules.naive.windows import windows


def guesses(events: Sequence[Event], rule: Any) -> Iterator[int]:
    """Yield where the window has enough users and guesses, few of each user, and looks like a spray if that matters."""
    for number, inside in windows(events, rule):
        guesses: Counter[str | None] = Counter()
        for event in inside:
            guesses[event.username] += event.times
        if len(guesses) < rule.users or sum(guesses.values()) < rule.guesses:
            continue
        if any(count > rule.guesses_per_user for count in guesses.values()):
            continue
        if rule.name == "password_spray":
            sprayed = [user for user, count in guesses.items() if rule.band_from <= count <= rule.band_to]
            if len(sprayed) / len(guesses) * 100 < rule.band_percent:
                continue
            if (inside[-1].at - inside[0].at).total_seconds() < rule.min_minutes * 60:
                continue
        yield number


def distributed(events: Sequence[Event], rule: Any) -> Iterator[int]:
    """Yield where the window has enough guesses and addresses, and enough countries or very many addresses."""
    for number, inside in windows(events, rule):
        ips = {event.src_ip for event in inside if event.src_ip is not None}
        countries = {event.country for event in inside if event.country is not None}
        if sum(event.times for event in inside) < rule.guesses or len(ips) < rule.ips:
            continue
        if len(countries) >= rule.countries or len(ips) >= rule.many_ips:
            yield number


def distributed_spray(events: Sequence[Event], rule: Any) -> Iterator[int]:
    """Yield the guesses where the window has enough guesses, users and addresses, in the right proportions.

    Guesses at a user with too many of them do not count.
    """
    for number, inside in windows(events, rule):
        by_user: Counter[str | None] = Counter()
        for event in inside:
            by_user[event.username] += event.times if event.outcome == "failure" else 0
        counted = [
            event for event in inside if event.outcome == "failure" and by_user[event.username] <= rule.guesses_per_user
        ]
        guesses, users, ips = total(counted), distinct_users(counted), distinct_ips(counted)
        if events[number].outcome != "failure" or guesses < rule.guesses or users < rule.users or ips < rule.ips:
            continue
        successes = total([event for event in inside if event.outcome == "success"])
        if users >= rule.users_per_ip * ips and guesses * 100 >= rule.percent * (guesses + successes):
            yield number
