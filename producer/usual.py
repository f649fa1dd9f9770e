"""What users do on their own: log in, mistype now and then, log out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from random import Random

from producer.arrivals import hour_of_week
from producer.events import MICROSECONDS, Act, Event
from producer.population import Population, Routine, User

LOGOUT_SHARE = 0.3
MISTAKE_SHARE = 0.05
# Between two mistakes from one address: at most 13 fall into an hour, so that no brute force rule fires on people.
MISTAKE_PAUSE = 300 * MICROSECONDS
# Where systems take the ports of outgoing connections from: 32768 to 60999.
FIRST_PORT = 32_768
PORTS = 28_232


class Usual:
    """The population's own events, one for each instant asked for.

    Args:
        population: Who logs in; who is at work at an instant is likelier to.
        rng: Decides who, from where and how it goes.
    """

    def __init__(self, population: Population, rng: Random) -> None:
        self._users = population.users
        self._crews = population.crews
        self._rng = rng
        self._sessions: dict[str, tuple[str, Routine]] = {}
        self._mistakes: dict[str, int] = {}

    def events(self, instants: Sequence[int]) -> Iterator[Event]:
        """What users do at these instants, which lie within one clock hour."""
        if not instants:
            return
        count, random = len(instants), self._rng.random
        users = self._rng.choices(self._users, cum_weights=self._awake(hour_of_week(instants[0])), k=count)
        ids = self._rng.randbytes(16 * count).hex()
        for index, (at, user) in enumerate(zip(instants, users, strict=True)):
            event_id = ids[32 * index : 32 * index + 32]
            port = FIRST_PORT + int(random() * PORTS)
            session_id, act = self._what(user, at, event_id=event_id, drawn=random())
            yield Event(event_id, at, port, session_id, act)

    def _what(self, user: User, at: int, *, event_id: str, drawn: float) -> tuple[str | None, Act]:
        """The session and the act: a logout where one is due, else a login, by one of the user's routines."""
        if drawn < LOGOUT_SHARE and (session := self._sessions.pop(user.username, None)):
            return session[0], session[1].logout
        routine = user.routines[int(self._rng.random() * len(user.routines))]
        if drawn > 1.0 - MISTAKE_SHARE and self._may_err(routine.src_ip, at):
            return None, routine.failure
        session_id = event_id[:16]
        self._sessions[user.username] = (session_id, routine)
        return session_id, routine.success

    @lru_cache(maxsize=1)  # noqa: B019 (one hour at a time, and gone with the stream)
    def _awake(self, hour: int) -> list[float]:
        """Running sums of the users' activity in that hour of the week."""
        return list(accumulate(crew.activity[hour] for crew in self._crews for _ in crew.users))

    def _may_err(self, src_ip: str, at: int) -> bool:
        if at - self._mistakes.get(src_ip, -MISTAKE_PAUSE) < MISTAKE_PAUSE:
            return False
        self._mistakes[src_ip] = at
        return True
