"""What users do when nobody attacks: log in, sometimes mistype a password, log out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from random import Random

from producer.arrivals import hour_of_week
from producer.events import LOGIN_SUCCEEDED, LOGOUT, MFA_FAILED, PASSWORD_EXPIRED, SECOND, WRONG_PASSWORD, Client, Event
from producer.population import Population

LOGOUT_SHARE = 0.3
MISTAKE_SHARE = 0.05
MISTAKES = (WRONG_PASSWORD, WRONG_PASSWORD, WRONG_PASSWORD, WRONG_PASSWORD, MFA_FAILED, PASSWORD_EXPIRED)
# At most 13 mistakes of one address fall into an hour, so that background traffic triggers no brute force rule.
MISTAKE_INTERVAL = 300 * SECOND


class BackgroundTraffic:
    """Events of the population itself, one for each requested instant.

    Args:
        population: The users; those at work at an instant are more likely to act.
        rng: Decides who acts, from where, and how it ends.
    """

    def __init__(self, population: Population, rng: Random) -> None:
        self._cohorts = population.cohorts
        self._clients = [client for user in population.users for client in user.clients]
        self._rng = rng
        self._hour = -1
        self._cumulative_activity: list[float] = []
        self._sessions: dict[Client, bytes] = {}
        self._last_mistakes: dict[str, int] = {}

    def events(self, instants: Sequence[int]) -> Iterator[Event]:
        """Yield an event for each instant; all instants lie within one clock hour."""
        if not instants:
            return
        random, sessions, count = self._rng.random, self._sessions, len(instants)
        self._set_hour(hour_of_week(instants[0]))
        clients = self._rng.choices(self._clients, cum_weights=self._cumulative_activity, k=count)
        event_ids = self._rng.randbytes(16 * count).hex(" ", 16).encode().split()
        for at, event_id, client in zip(instants, event_ids, clients, strict=True):
            drawn = random()
            if drawn < LOGOUT_SHARE and client in sessions:
                yield Event(event_id, at, sessions.pop(client), LOGOUT, client)
            elif drawn > 1.0 - MISTAKE_SHARE and self._may_make_mistake(client.src_ip, at):
                yield Event(event_id, at, None, self._rng.choice(MISTAKES), client)
            else:
                sessions[client] = session_id = event_id[:16]
                yield Event(event_id, at, session_id, LOGIN_SUCCEEDED, client)

    def _set_hour(self, hour: int) -> None:
        """Compute the cumulative activity of all clients for an hour of the week."""
        if hour != self._hour:
            self._hour = hour
            self._cumulative_activity = list(
                accumulate(
                    cohort.activity[hour] for cohort in self._cohorts for user in cohort.users for _ in user.clients
                )
            )

    def _may_make_mistake(self, src_ip: str, at: int) -> bool:
        if at - self._last_mistakes.get(src_ip, -MISTAKE_INTERVAL) < MISTAKE_INTERVAL:
            return False
        self._last_mistakes[src_ip] = at
        return True
