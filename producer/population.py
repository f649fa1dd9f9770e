"""The people who log in: where they live, what they carry, what they open and when they are at work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from producer.events import Client
from producer.ip_blocks import COUNTRIES, OFFICE_BLOCK, Country, an_address

HOURS_OF_WEEK = 168
CLIENTS_PER_USER = 6

# People per country, largest first, as in COUNTRIES.
_COUNTRY_WEIGHTS = (22, 12, 12, 8, 20, 5, 5, 6, 3, 3, 2, 2)
_APPS = ("mail", "vpn", "wiki", "git", "payroll", "crm")
_APP_WEIGHTS = (35, 20, 15, 15, 5, 10)
_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
)


@dataclass(frozen=True)
class Shift:
    """When a kind of user works, in local hours; the rest of the week they log in now and then.

    Attributes:
        share: Of all users, in hundredths.
        starts: First hour of work.
        ends: Hour at which work is over; before `starts` where it crosses midnight.
        days: How many days from Monday are worked.
        idle: Activity outside work, as a part of that at work.
    """

    share: int
    starts: int
    ends: int
    days: int
    idle: float

    def activity(self, weekday: int, hour: int) -> float:
        """How much a user does in a local hour, 1 at work; weekday 0 is Monday."""
        is_at_work = self.starts <= hour < self.ends if self.starts < self.ends else not self.ends <= hour < self.starts
        return 1.0 if is_at_work and weekday < self.days else self.idle


_SHIFTS = (
    Shift(share=75, starts=8, ends=18, days=5, idle=0.03),
    Shift(share=15, starts=6, ends=14, days=6, idle=0.03),
    Shift(share=10, starts=22, ends=6, days=7, idle=0.05),
)


@dataclass(frozen=True, eq=False)
class User:
    """A user, and the ways in which they log in; the first is from home, with a public address."""

    username: str
    country: Country
    clients: tuple[Client, ...]


@dataclass(frozen=True, eq=False)
class Crew:
    """Users of one country and shift: they share their week.

    Attributes:
        users: At least one.
        activity: Of one user per UTC hour of the week, from Monday 00:00.
    """

    users: tuple[User, ...]
    activity: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Population:
    """All users, and the crews they fall into."""

    users: tuple[User, ...]
    crews: tuple[Crew, ...]


def a_population(seed: int, users: int) -> Population:
    """The same people for the same seed and number."""
    rng = Random(f"population {seed}")  # noqa: S311 (repeatable on purpose)
    crews: dict[tuple[Country, Shift], list[User]] = {}
    for number in range(1, users + 1):
        country = rng.choices(COUNTRIES, _COUNTRY_WEIGHTS)[0]
        shift = rng.choices(_SHIFTS, [shift.share for shift in _SHIFTS])[0]
        crews.setdefault((country, shift), []).append(_a_user(rng, country, number=number))
    return Population(
        users=tuple(user for members in crews.values() for user in members),
        crews=tuple(Crew(tuple(members), _week(country, shift)) for (country, shift), members in crews.items()),
    )


def _week(country: Country, shift: Shift) -> tuple[float, ...]:
    """Activity per UTC hour of the week: the local week, turned by the time zone."""
    locals_of_utc = ((hour + country.utc_hours) % HOURS_OF_WEEK for hour in range(HOURS_OF_WEEK))
    return tuple(shift.activity(*divmod(local, 24)) for local in locals_of_utc)


def _a_user(rng: Random, country: Country, *, number: int) -> User:
    username = f"user{number:04d}"
    agents = rng.sample(_AGENTS, rng.randint(1, 3))
    home, phone = (an_address(rng, rng.choice(country.blocks)) for _ in range(2))
    places = [home, phone, an_address(rng, OFFICE_BLOCK)]
    is_mfa = rng.random() < 0.7
    clients = (
        _a_client(rng, username, device=device, src_ip=place, is_mfa=is_mfa)
        for place, device in _ways(rng, places, agents=agents)
    )
    return User(username, country, tuple(clients))


def _ways(rng: Random, places: Sequence[str], *, agents: Sequence[str]) -> list[tuple[str, tuple[int, str]]]:
    """The first device at home, then places and devices as they come."""
    devices = list(enumerate(agents, start=1))
    others = [(rng.choice(places), rng.choice(devices)) for _ in range(CLIENTS_PER_USER - 1)]
    return [(places[0], devices[0]), *others]


def _a_client(rng: Random, username: str, *, device: tuple[int, str], src_ip: str, is_mfa: bool) -> Client:
    number, user_agent = device
    app = rng.choices(_APPS, _APP_WEIGHTS)[0]
    return Client(
        username=username,
        src_ip=src_ip,
        app=app,
        host=f"{app}-1",
        user_agent=user_agent,
        device_id=f"{username}-device{number}",
        auth_method="password+totp" if is_mfa else "password",
        is_mfa=is_mfa,
    )
