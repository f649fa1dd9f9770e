"""The users who log in: their countries, devices, applications and working hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from producer.events import Client
from producer.ip_blocks import COUNTRIES, OFFICE_BLOCK, Country, random_address

HOURS_OF_WEEK = 168
CLIENTS_PER_USER = 6
# The default seed of events.
POPULATION_SEED = 7

# Users per country, in the order of COUNTRIES.
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
    """Working hours in local time; outside of them users log in rarely.

    Attributes:
        percent: Percentage of all users who work this shift.
        first_hour: Hour at which work starts.
        end_hour: Hour at which work ends; less than `first_hour` for a night shift.
        days: Working days per week, counted from Monday.
        idle_activity: Activity outside working hours, relative to 1 at work.
    """

    percent: int
    first_hour: int
    end_hour: int
    days: int
    idle_activity: float

    def activity(self, weekday: int, hour: int) -> float:
        """Return the activity of a user in a local hour, 1 at work; weekday 0 is Monday."""
        if self.first_hour < self.end_hour:
            is_at_work = self.first_hour <= hour < self.end_hour
        else:
            is_at_work = not self.end_hour <= hour < self.first_hour
        return 1.0 if is_at_work and weekday < self.days else self.idle_activity


_SHIFTS = (
    Shift(percent=75, first_hour=8, end_hour=18, days=5, idle_activity=0.03),
    Shift(percent=15, first_hour=6, end_hour=14, days=6, idle_activity=0.03),
    Shift(percent=10, first_hour=22, end_hour=6, days=7, idle_activity=0.05),
)


@dataclass(frozen=True, eq=False)
class User:
    """A user and their clients; the first client is at home and has a public address."""

    username: str
    country: Country
    clients: tuple[Client, ...]


@dataclass(frozen=True, eq=False)
class Cohort:
    """Users with the same country and shift, and thus the same weekly activity.

    Attributes:
        users: At least one user.
        activity: Activity of one user for each UTC hour of the week, from Monday 00:00.
    """

    users: tuple[User, ...]
    activity: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Population:
    """All users, and the same users by cohort."""

    users: tuple[User, ...]
    cohorts: tuple[Cohort, ...]


def make_population(users: int) -> Population:
    """Return the first so many users.

    They are the same for every seed: in a lake with several batches, a user has the same home and devices in all.
    """
    rng = Random(f"population {POPULATION_SEED}")  # noqa: S311 (reproducible on purpose)
    cohorts: dict[tuple[Country, Shift], list[User]] = {}
    for number in range(1, users + 1):
        country = rng.choices(COUNTRIES, _COUNTRY_WEIGHTS)[0]
        shift = rng.choices(_SHIFTS, [shift.percent for shift in _SHIFTS])[0]
        cohorts.setdefault((country, shift), []).append(_make_user(rng, country, number=number))
    return Population(
        users=tuple(user for members in cohorts.values() for user in members),
        cohorts=tuple(
            Cohort(tuple(members), _activity_by_utc_hour(country, shift))
            for (country, shift), members in cohorts.items()
        ),
    )


def a_client(rng: Random, username: str, *, src_ip: str) -> Client:
    """Return a client with one device, also of a user who is not one of the population."""
    return _make_client(rng, username, device=(1, rng.choice(_AGENTS)), src_ip=src_ip, is_mfa=False)


def _activity_by_utc_hour(country: Country, shift: Shift) -> tuple[float, ...]:
    """Return the activity for each UTC hour of the week: the local week, shifted by the time zone."""
    local_hours = ((hour + country.utc_offset_hours) % HOURS_OF_WEEK for hour in range(HOURS_OF_WEEK))
    return tuple(shift.activity(*divmod(local_hour, 24)) for local_hour in local_hours)


def _make_user(rng: Random, country: Country, *, number: int) -> User:
    username = f"user{number:04d}"
    agents = rng.sample(_AGENTS, rng.randint(1, 3))
    home, phone = (random_address(rng, rng.choice(country.blocks)) for _ in range(2))
    addresses = [home, phone, random_address(rng, OFFICE_BLOCK)]
    is_mfa = rng.random() < 0.7
    clients = (
        _make_client(rng, username, device=device, src_ip=address, is_mfa=is_mfa)
        for address, device in _addresses_and_devices(rng, addresses, agents=agents)
    )
    return User(username, country, tuple(clients))


def _addresses_and_devices(
    rng: Random, addresses: Sequence[str], *, agents: Sequence[str]
) -> list[tuple[str, tuple[int, str]]]:
    """Return pairs of an address and a numbered device: the first device at home, then random pairs."""
    devices = list(enumerate(agents, start=1))
    others = [(rng.choice(addresses), rng.choice(devices)) for _ in range(CLIENTS_PER_USER - 1)]
    return [(addresses[0], devices[0]), *others]


def _make_client(rng: Random, username: str, *, device: tuple[int, str], src_ip: str, is_mfa: bool) -> Client:
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
