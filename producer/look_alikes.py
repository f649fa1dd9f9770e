"""Planted look-alikes: what people and programs do without harm that resembles an attack.

A scenario is a function like those of `producer.attacks`. docs/scoring.md names the sources of the rates.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from random import Random

import msgspec

from producer.events import (
    ACCOUNT_LOCKED,
    LOGIN_SUCCEEDED,
    PASSWORD_EXPIRED,
    PUBLIC_KEY,
    WRONG_PASSWORD,
    Client,
)
from producer.ip_blocks import COUNTRIES, OFFICE_BLOCK, Country, distance_km, random_address
from producer.planted import HOUR, MINUTE, LookAlike, Scenario, TimedStep, events_of, spaced
from producer.population import Population, User, a_client

# One login in ten fails for a wrong password.
USUAL_MISTAKES = 0.1
NAT_LOGINS = 120
NAT_HOURS = 2.0
HOLIDAY_MISTAKES = 0.15
OFFICE_USERS = 60
OFFICE_HOURS = 1.5
VPN_USERS = 30
# Speed of an airliner, and the time to board and to leave the airport.
FLIGHT_KM_PER_HOUR = 800.0
AIRPORT_HOURS = 3.0
LONGEST_FLIGHT_HOURS = 12.0
# Failures until an account locks, and for how long it stays locked.
LOCKOUT_FAILURES = 5
LOCKOUT_MINUTES = 15
RETRY_MINUTES = 5
OFFERED_KEYS = 3


def busy_nat(rng: Random, population: Population, at: int) -> LookAlike:
    """Return the logins of many users behind one address within two hours, some with a wrong password."""
    users, src_ip = _neighbours(rng, population, count=NAT_LOGINS)
    logins = [rng.choice(users) for _ in range(NAT_LOGINS)]
    steps = _at_one_address(rng, logins, src_ip=src_ip, mistakes=USUAL_MISTAKES, hours=NAT_HOURS)
    return LookAlike("busy_nat", events_of(rng, steps, at=at))


def office_after_holiday(rng: Random, population: Population, at: int) -> LookAlike:
    """Return the first logins of an office after a holiday, at which more users than usual mistype their password."""
    users, src_ip = _neighbours(rng, population, count=OFFICE_USERS)
    steps = _at_one_address(rng, users, src_ip=src_ip, mistakes=HOLIDAY_MISTAKES, hours=OFFICE_HOURS)
    return LookAlike("office_after_holiday", events_of(rng, steps, at=at))


def vpn_egress(rng: Random, population: Population, at: int) -> LookAlike:
    """Return users who log in to the VPN from home and then, through its egress address, to an application."""
    users, egress = _neighbours(rng, population, count=VPN_USERS)
    steps: list[TimedStep] = []
    for user in users:
        second = rng.uniform(0, 2 * HOUR)
        at_home = msgspec.structs.replace(user.clients[0], app="vpn", host="vpn-1")
        steps.append((second, (LOGIN_SUCCEEDED, at_home)))
        through = repeat((LOGIN_SUCCEEDED, _moved(rng.choice(user.clients), egress)), rng.randint(1, 3))
        steps += ((second + rng.uniform(1, 30) * MINUTE, step) for step in through)
    return LookAlike("vpn_egress", events_of(rng, steps, at=at))


def forgotten_password(rng: Random, population: Population, at: int) -> LookAlike:
    """Return a user who guesses until the account locks, tries again when it is unlocked, and resets the password."""
    client = rng.choice(rng.choice(population.users).clients)
    guess = (WRONG_PASSWORD, client)
    steps = spaced(rng, repeat(guess, LOCKOUT_FAILURES), seconds=(6, 30))
    locked = steps[-1][0] + 0.5
    unlocked = locked + LOCKOUT_MINUTES * MINUTE
    steps += [
        (locked, (ACCOUNT_LOCKED, client)),
        (unlocked + 10, guess),
        (unlocked + 40, guess),
        (unlocked + rng.uniform(3, 10) * MINUTE, (LOGIN_SUCCEEDED, client)),
    ]
    return LookAlike("forgotten_password", events_of(rng, steps, at=at))


def traveller(rng: Random, population: Population, at: int) -> LookAlike:
    """Return a user who logs in at home, flies to another country and logs in there.

    The user is not one of the population, whose background traffic would go on at home.
    """
    home = rng.choice(population.users).country
    abroad = rng.choice([country for country in COUNTRIES if 0 < _flight_hours(home, country) <= LONGEST_FLIGHT_HOURS])
    username = f"traveller{rng.randrange(100_000):05d}"
    here = a_client(rng, username, src_ip=random_address(rng, rng.choice(home.blocks)))
    there = _moved(here, random_address(rng, rng.choice(abroad.blocks)))
    lands = 2 * HOUR + (_flight_hours(home, abroad) + AIRPORT_HOURS) * HOUR
    at_home = [(rng.uniform(0, 2 * HOUR), (LOGIN_SUCCEEDED, here)) for _ in range(4)]
    arrived = [(lands + rng.uniform(0, 4 * HOUR), (LOGIN_SUCCEEDED, there)) for _ in range(4)]
    return LookAlike("traveller", events_of(rng, [*at_home, *arrived], at=at))


def expired_batch_job(rng: Random, _population: Population, at: int) -> LookAlike:
    """Return a job whose password has expired and which tries again every five minutes until somebody notices."""
    client = a_client(rng, f"svc-backup{rng.randrange(1_000):03d}", src_ip=random_address(rng, OFFICE_BLOCK))
    attempts = rng.randint(4, 12) * int(HOUR / (RETRY_MINUTES * MINUTE))
    second = RETRY_MINUTES * MINUTE
    steps = spaced(rng, repeat((PASSWORD_EXPIRED, client), attempts), seconds=(second - 1, second + 1))
    return LookAlike("expired_batch_job", events_of(rng, steps, at=at))


def three_keys(rng: Random, population: Population, at: int) -> LookAlike:
    """Return an SSH client that offers three keys at each login, of which the server accepts the fourth.

    A script logs in several times within minutes.
    """
    user = rng.choice(population.users)
    client = msgspec.structs.replace(user.clients[0], auth_method=PUBLIC_KEY, is_mfa=False, app="git", host="git-1")
    offered = [*repeat((WRONG_PASSWORD, client), OFFERED_KEYS), (LOGIN_SUCCEEDED, client)]
    steps: list[TimedStep] = []
    for begin, _ in spaced(rng, repeat(offered[0], 8), seconds=(10, 120)):
        steps += ((begin + second, step) for second, step in spaced(rng, offered, seconds=(0.05, 0.3)))
    return LookAlike("three_keys", events_of(rng, steps, at=at))


SCENARIOS: tuple[Scenario, ...] = (
    busy_nat,
    forgotten_password,
    traveller,
    expired_batch_job,
    vpn_egress,
    three_keys,
    office_after_holiday,
)


def _neighbours(rng: Random, population: Population, *, count: int) -> tuple[list[User], str]:
    """Return at most `count` users of one country, and a public address there."""
    country = rng.choice(population.users).country
    users = [user for user in population.users if user.country == country]
    return rng.sample(users, min(count, len(users))), random_address(rng, rng.choice(country.blocks))


def _at_one_address(
    rng: Random, users: Iterable[User], *, src_ip: str, mistakes: float, hours: float
) -> list[TimedStep]:
    """Return one login of each user at random times, preceded by a wrong password for some of them.

    Args:
        rng: Random generator.
        users: Who logs in.
        src_ip: The address that they share.
        mistakes: Share of the users who mistype their password first.
        hours: Time in which the logins happen.
    """
    clients = [_moved(rng.choice(user.clients), src_ip) for user in users]
    steps: list[TimedStep] = []
    for number, client in enumerate(clients):
        second = rng.uniform(0, hours * HOUR)
        if number < mistakes * len(clients):
            steps.append((second, (WRONG_PASSWORD, client)))
        steps.append((second + rng.uniform(5, 20), (LOGIN_SUCCEEDED, client)))
    return steps


def _moved(client: Client, src_ip: str) -> Client:
    return msgspec.structs.replace(client, src_ip=src_ip)


def _flight_hours(here: Country, there: Country) -> float:
    return distance_km(here, there) / FLIGHT_KM_PER_HOUR
