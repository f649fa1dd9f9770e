"""Planted attacks: each is unmistakable for the rule it is made for (thresholds: the detections' defaults).

A scenario takes randomness, the population and its first instant, and gives an attack. Rates keep clear
of the rules that it is *not* made for, so that what was found can be held against what was planted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, repeat
from random import Random
from typing import TypeAlias

import msgspec

from producer.events import GUESS, LOCKOUT, SECOND, SUCCESS, UNKNOWN_USER, Act, Client, Event
from producer.ip_blocks import ATTACKER_BLOCKS, COUNTRIES, an_address, an_attacker_address, kilometres_between
from producer.population import Population, User

MINUTE = 60.0
FAR_KM = 3_000.0
SCRIPT_AGENT = "python-requests/2.32.5"


class Hit(msgspec.Struct, frozen=True):
    """A rule that an attack triggers, and on whom."""

    rule: str
    entity_type: str
    entity: str


class Attack(msgspec.Struct, frozen=True):
    """A planted attack.

    Attributes:
        scenario: How it was made.
        hit: The rule that it is made for.
        also: Rules that its shape triggers as well.
        events: In order of time, at least one.
    """

    scenario: str
    hit: Hit
    also: tuple[Hit, ...]
    events: tuple[Event, ...]

    def moved(self, millis: int) -> Attack:
        """The same attack so much later."""
        later = tuple(msgspec.structs.replace(event, at=event.at + millis) for event in self.events)
        return msgspec.structs.replace(self, events=later)


Scenario: TypeAlias = Callable[[Random, Population, int], Attack]
Deed: TypeAlias = tuple[Act, Client]
Moment: TypeAlias = tuple[float, Deed]


def brute_force(rng: Random, population: Population, at: int) -> Attack:
    """One address guesses one user's password, a guess every second or two, until the account locks."""
    src_ip, victim = an_attacker_address(rng), _a_client(rng, population)
    guesses = repeat((GUESS, _posing_as(victim, src_ip)), rng.randint(30, 60))
    moments = [*_spaced(rng, guesses, seconds=(0.8, 1.8))]
    moments.append((moments[-1][0] + 0.5, (LOCKOUT, _posing_as(victim, src_ip))))
    return Attack(
        "brute_force",
        _on_ip("brute_force_ip", src_ip),
        _each_on_ip(("brute_force_slow",), src_ip),
        _events(rng, moments, at=at),
    )


def slow_brute_force(rng: Random, population: Population, at: int) -> Attack:
    """Guesses too slow for the quick bucket, and too few for the hourly count, but steady."""
    src_ip, victim = an_attacker_address(rng), _a_client(rng, population)
    guesses = repeat((GUESS, _posing_as(victim, src_ip)), 18)
    moments = _spaced(rng, guesses, seconds=(12, 18))
    return Attack("slow_brute_force", _on_ip("brute_force_slow", src_ip), (), _events(rng, moments, at=at))


def password_spray(rng: Random, population: Population, at: int) -> Attack:
    """One address tries a few passwords on a few users, minutes apart."""
    src_ip = an_attacker_address(rng)
    victims = [rng.choice(user.clients) for user in _some_users(rng, population, count=6)]
    guesses = [(GUESS, _posing_as(victim, src_ip)) for _ in range(3) for victim in victims]
    moments = _spaced(rng, guesses, seconds=(2.0 * MINUTE, 2.8 * MINUTE))
    return Attack("password_spray", _on_ip("password_spray", src_ip), (), _events(rng, moments, at=at))


def credential_stuffing(rng: Random, _population: Population, at: int) -> Attack:
    """One address tries leaked pairs, most of users that this place never had, twice each at most."""
    src_ip = an_attacker_address(rng)
    guesses = [guess for guess in _names(rng, src_ip, count=20) for _ in range(2)]
    moments = _spaced(rng, guesses, seconds=(8, 12))
    also = _each_on_ip(("brute_force_ip", "brute_force_slow", "user_enumeration", "password_spray"), src_ip)
    return Attack("credential_stuffing", _on_ip("credential_stuffing", src_ip), also, _events(rng, moments, at=at))


def enumeration(rng: Random, _population: Population, at: int) -> Attack:
    """One address asks for name after name to learn which exist."""
    src_ip = an_attacker_address(rng)
    moments = _spaced(rng, _names(rng, src_ip, count=rng.randint(25, 40)), seconds=(0.8, 1.8))
    also = _each_on_ip(("brute_force_ip", "brute_force_slow", "password_spray", "credential_stuffing"), src_ip)
    return Attack("enumeration", _on_ip("user_enumeration", src_ip), also, _events(rng, moments, at=at))


def success_after_attack(rng: Random, population: Population, at: int) -> Attack:
    """A brute force whose last guess is right."""
    src_ip, victim = an_attacker_address(rng), _a_client(rng, population)
    guesses = [*repeat((GUESS, _posing_as(victim, src_ip)), rng.randint(28, 45)), (SUCCESS, _posing_as(victim, src_ip))]
    moments = _spaced(rng, guesses, seconds=(0.8, 1.8))
    return Attack(
        "success_after_attack",
        _on_user("success_after_attack", victim.username),
        _each_on_ip(("brute_force_ip", "brute_force_slow"), src_ip),
        _events(rng, moments, at=at),
    )


def impossible_travel(rng: Random, population: Population, at: int) -> Attack:
    """A user logs in at home and, minutes later, from a country that no aeroplane reaches by then."""
    user = rng.choice(population.users)
    far = [country for country in COUNTRIES if kilometres_between(user.country, country) > FAR_KM]
    abroad = an_address(rng, rng.choice(rng.choice(far).blocks))
    home = user.clients[0]
    moments = [(0.0, (SUCCESS, home)), (rng.uniform(10, 25) * MINUTE, (SUCCESS, _posing_as(home, abroad)))]
    return Attack(
        "impossible_travel",
        _on_user("impossible_travel", user.username),
        (_on_user("several_countries", user.username),),
        _events(rng, moments, at=at),
    )


def distributed_brute_force(rng: Random, population: Population, at: int) -> Attack:
    """Addresses of many countries share the guessing, so that none of them stands out."""
    victim = _a_client(rng, population)
    sources = [an_address(rng, rng.choice(blocks)) for blocks in ATTACKER_BLOCKS.values()]
    guesses = [(GUESS, _posing_as(victim, src_ip)) for _ in range(3) for src_ip in sources]
    moments = _spaced(rng, guesses, seconds=(30, 60))
    hit = _on_user("distributed_brute_force_user", victim.username)
    return Attack("distributed_brute_force", hit, (), _events(rng, moments, at=at))


SCENARIOS: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        brute_force,
        password_spray,
        credential_stuffing,
        enumeration,
        success_after_attack,
        impossible_travel,
        slow_brute_force,
        distributed_brute_force,
    )
}


def endless(rng: Random) -> Iterator[Scenario]:
    """Every scenario once, in any order, and again."""
    while True:
        yield from rng.sample(list(SCENARIOS.values()), len(SCENARIOS))


def _spaced(rng: Random, deeds: Iterable[Deed], *, seconds: tuple[float, float]) -> list[Moment]:
    """The deeds, the first at 0, each the next so many seconds after the last."""
    each = list(deeds)
    gaps = (rng.uniform(*seconds) for _ in each[1:])
    return list(zip(accumulate(gaps, initial=0.0), each, strict=True))


def _events(rng: Random, moments: Iterable[Moment], *, at: int) -> tuple[Event, ...]:
    return tuple(_event(rng, at + int(seconds * SECOND), deed=deed) for seconds, deed in moments)


def _event(rng: Random, at: int, *, deed: Deed) -> Event:
    act, client = deed
    event_id = rng.randbytes(16).hex().encode()
    return Event(event_id, at, event_id[:16] if act == SUCCESS else None, act, client)


def _posing_as(victim: Client, src_ip: str) -> Client:
    """A script that uses the victim's name at the app the victim uses."""
    return _a_script(victim.username, src_ip, app=victim.app)


def _names(rng: Random, src_ip: str, *, count: int) -> list[Deed]:
    """So many different names that nobody has, each tried once."""
    return [
        (UNKNOWN_USER, _a_script(f"nobody{number:04d}", src_ip, app=rng.choice(("mail", "vpn"))))
        for number in rng.sample(range(10_000), count)
    ]


def _a_script(username: str, src_ip: str, *, app: str) -> Client:
    return Client(
        username=username,
        src_ip=src_ip,
        app=app,
        host=f"{app}-1",
        auth_method="password",
        is_mfa=False,
        user_agent=SCRIPT_AGENT,
    )


def _a_client(rng: Random, population: Population) -> Client:
    return rng.choice(rng.choice(population.users).clients)


def _some_users(rng: Random, population: Population, *, count: int) -> list[User]:
    """Different users, as far as there are so many."""
    return rng.sample(population.users, min(count, len(population.users)))


def _on_ip(rule: str, src_ip: str) -> Hit:
    return Hit(rule, "src_ip", src_ip)


def _each_on_ip(rules: tuple[str, ...], src_ip: str) -> tuple[Hit, ...]:
    return tuple(_on_ip(rule, src_ip) for rule in rules)


def _on_user(rule: str, username: str) -> Hit:
    return Hit(rule, "username", username)
