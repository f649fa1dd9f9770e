"""What users do on their own: log in, mistype now and then, log out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from random import Random

from producer.arrivals import hour_of_week
from producer.events import GUESS, LOGOUT, MFA_FAILED, PASSWORD_EXPIRED, SECOND, SUCCESS, Client, Event
from producer.population import Population

LOGOUT_SHARE = 0.3
MISTAKE_SHARE = 0.05
MISTAKES = (GUESS, GUESS, GUESS, GUESS, MFA_FAILED, PASSWORD_EXPIRED)
# Between two mistakes from one address: at most 13 fall into an hour, so that no brute force rule fires on people.
MISTAKE_PAUSE = 300 * SECOND


class Usual:
    """The population's own events, one for each instant asked for.

    Args:
        population: Who logs in; who is at work at an instant is likelier to.
        rng: Decides who, from where and how it goes.
    """

    def __init__(self, population: Population, rng: Random) -> None:
        self._crews = population.crews
        self._clients = [client for user in population.users for client in user.clients]
        self._rng = rng
        self._hour = -1
        self._awake: list[float] = []
        self._sessions: dict[Client, bytes] = {}
        self._mistakes: dict[str, int] = {}

    def events(self, instants: Sequence[int]) -> Iterator[Event]:
        """What users do at these instants, which lie within one clock hour."""
        if not instants:
            return
        random, sessions, count = self._rng.random, self._sessions, len(instants)
        self._wake(hour_of_week(instants[0]))
        clients = self._rng.choices(self._clients, cum_weights=self._awake, k=count)
        event_ids = self._rng.randbytes(16 * count).hex(" ", 16).encode().split()
        for at, event_id, client in zip(instants, event_ids, clients, strict=True):
            drawn = random()
            if drawn < LOGOUT_SHARE and client in sessions:
                yield Event(event_id, at, sessions.pop(client), LOGOUT, client)
            elif drawn > 1.0 - MISTAKE_SHARE and self._may_err(client.src_ip, at):
                yield Event(event_id, at, None, self._rng.choice(MISTAKES), client)
            else:
                sessions[client] = session_id = event_id[:16]
                yield Event(event_id, at, session_id, SUCCESS, client)

    def _wake(self, hour: int) -> None:
        """Sets the running sums of the clients' likelihoods to those of an hour of the week."""
        if hour != self._hour:
            self._hour = hour
            self._awake = list(
                accumulate(crew.activity[hour] for crew in self._crews for user in crew.users for _ in user.clients)
            )

    def _may_err(self, src_ip: str, at: int) -> bool:
        if at - self._mistakes.get(src_ip, -MISTAKE_PAUSE) < MISTAKE_PAUSE:
            return False
        self._mistakes[src_ip] = at
        return True
