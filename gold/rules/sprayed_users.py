"""A sliding window over guesses that leaves out users with too many of them."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from datetime import timedelta
from typing import NamedTuple

import polars as pl

from gold.rules.model import Contexts
from gold.rules.windows import MICROSECOND


class Guess(NamedTuple):
    """A guess, with the context and the time of its event."""

    context: int
    clock: int
    username: str
    src_ip: str | None
    times: int


class SprayedUsers:
    """The users with at most `limit` guesses among the guesses that were added and not removed.

    Attributes:
        users: Their number.
        guesses: The guesses at them.
        ips: The addresses of these guesses, each with their number.
    """

    def __init__(self, limit: int) -> None:
        self.users = self.guesses = 0
        self.ips: Counter[str] = Counter()
        self._limit = limit
        self._guesses_at: dict[str, deque[Guess]] = defaultdict(deque)
        self._counts: Counter[str] = Counter()

    def add(self, guess: Guess) -> None:
        """Add a guess."""
        self._count(guess.username, -1)
        self._guesses_at[guess.username].append(guess)
        self._counts[guess.username] += guess.times
        self._count(guess.username, 1)

    def remove(self, guess: Guess) -> None:
        """Remove the oldest guess at its user."""
        self._count(guess.username, -1)
        self._guesses_at[guess.username].popleft()
        self._counts[guess.username] -= guess.times
        self._count(guess.username, 1)

    def _count(self, username: str, sign: int) -> None:
        """Add a user to the totals, or remove them, unless they have no guesses or too many."""
        if 0 < self._counts[username] <= self._limit:
            self.users += sign
            self.guesses += sign * self._counts[username]
            for guess in self._guesses_at[username]:
                if guess.src_ip is not None:
                    self.ips[guess.src_ip] += sign
                    if not self.ips[guess.src_ip]:
                        del self.ips[guess.src_ip]


def sprayed_users(guesses: Contexts, *, limit: int, window: timedelta) -> pl.DataFrame:
    """Return for each guess what the window that ends with it has of users with at most `limit` guesses.

    Args:
        guesses: Guesses of many contexts.
        limit: Guesses of a user in the window, at most; the guesses of other users do not count.
        window: Its length; a guess exactly that long ago is outside.

    Returns:
        The columns `guesses`, `users` and `ips`.
    """
    length, of_context = window // MICROSECOND, -1
    recent: deque[Guess] = deque()
    counted = SprayedUsers(limit)
    counts = []
    for row in guesses.select(Guess._fields).iter_rows():
        guess = Guess(*row)
        if guess.context != of_context:
            of_context, counted = guess.context, SprayedUsers(limit)
            recent.clear()
        recent.append(guess)
        counted.add(guess)
        while recent[0].clock <= guess.clock - length:
            counted.remove(recent.popleft())
        counts.append((counted.guesses, counted.users, len(counted.ips)))
    return pl.DataFrame(counts, schema=dict.fromkeys(("guesses", "users", "ips"), pl.Int64), orient="row")
