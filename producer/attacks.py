"""Planted attacks, each well above the thresholds of the rule that it is made for (defaults in detections.toml).

A scenario is a function from a random generator, the population and the first instant to an attack. Its rates stay
below the thresholds of all rules that it does not list, so that detections can be compared with planted attacks.
"""

from __future__ import annotations

from itertools import repeat
from random import Random

import msgspec

from producer.events import (
    ACCOUNT_LOCKED,
    LOGIN_SUCCEEDED,
    MFA_FAILED,
    UNKNOWN_USER,
    WRONG_PASSWORD,
    Client,
)
from producer.ip_blocks import ATTACKER_BLOCKS, COUNTRIES, distance_km, random_address, random_attacker_address
from producer.planted import MINUTE, Attack, ExpectedDetection, Scenario, Step, TimedStep, events_of, spaced
from producer.population import Population, User

FAR_KM = 3_000.0
SCRIPT_AGENT = "python-requests/2.32.5"


def brute_force(rng: Random, population: Population, at: int) -> Attack:
    """Return an attack in which one address guesses a user's password every second or two until the account locks."""
    src_ip, victim = random_attacker_address(rng), _random_client(rng, population)
    guesses = repeat((WRONG_PASSWORD, _impersonating(victim, src_ip)), rng.randint(30, 60))
    steps = [*spaced(rng, guesses, seconds=(0.8, 1.8))]
    steps.append((steps[-1][0] + 0.5, (ACCOUNT_LOCKED, _impersonating(victim, src_ip))))
    return Attack(
        "brute_force",
        _on_ip("brute_force_ip", src_ip),
        _each_on_ip(("brute_force_slow",), src_ip),
        events_of(rng, steps, at=at),
    )


def slow_brute_force(rng: Random, population: Population, at: int) -> Attack:
    """Return a steady attack that is too slow for the quick bucket and too small for the hourly count."""
    src_ip, victim = random_attacker_address(rng), _random_client(rng, population)
    guesses = repeat((WRONG_PASSWORD, _impersonating(victim, src_ip)), 18)
    steps = spaced(rng, guesses, seconds=(12, 18))
    return Attack("slow_brute_force", _on_ip("brute_force_slow", src_ip), (), events_of(rng, steps, at=at))


def password_spray(rng: Random, population: Population, at: int) -> Attack:
    """Return an attack in which one address tries a few passwords on a few users, minutes apart."""
    src_ip = random_attacker_address(rng)
    victims = [rng.choice(user.clients) for user in _random_users(rng, population, count=6)]
    guesses = [(WRONG_PASSWORD, _impersonating(victim, src_ip)) for _ in range(3) for victim in victims]
    steps = spaced(rng, guesses, seconds=(2.0 * MINUTE, 2.8 * MINUTE))
    return Attack("password_spray", _on_ip("password_spray", src_ip), (), events_of(rng, steps, at=at))


def credential_stuffing(rng: Random, _population: Population, at: int) -> Attack:
    """Return an attack in which one address tries leaked pairs, mostly of unknown users, at most twice each."""
    src_ip = random_attacker_address(rng)
    guesses = [guess for guess in _unknown_users(rng, src_ip, count=20) for _ in range(2)]
    steps = spaced(rng, guesses, seconds=(8, 12))
    also = _each_on_ip(("brute_force_ip", "brute_force_slow", "user_enumeration", "password_spray"), src_ip)
    return Attack("credential_stuffing", _on_ip("credential_stuffing", src_ip), also, events_of(rng, steps, at=at))


def enumeration(rng: Random, _population: Population, at: int) -> Attack:
    """Return an attack in which one address tries many names to learn which users exist."""
    src_ip = random_attacker_address(rng)
    steps = spaced(rng, _unknown_users(rng, src_ip, count=rng.randint(25, 40)), seconds=(0.8, 1.8))
    also = _each_on_ip(("brute_force_ip", "brute_force_slow", "credential_stuffing"), src_ip)
    return Attack("enumeration", _on_ip("user_enumeration", src_ip), also, events_of(rng, steps, at=at))


def success_after_attack(rng: Random, population: Population, at: int) -> Attack:
    """Return a brute force attack whose last guess is right."""
    src_ip, victim = random_attacker_address(rng), _random_client(rng, population)
    guesses = [
        *repeat((WRONG_PASSWORD, _impersonating(victim, src_ip)), rng.randint(28, 45)),
        (LOGIN_SUCCEEDED, _impersonating(victim, src_ip)),
    ]
    steps = spaced(rng, guesses, seconds=(0.8, 1.8))
    return Attack(
        "success_after_attack",
        _on_ip("success_after_attack_ip", src_ip),
        _each_on_ip(("brute_force_ip", "brute_force_slow"), src_ip),
        events_of(rng, steps, at=at),
    )


def impossible_travel(rng: Random, population: Population, at: int) -> Attack:
    """Return two logins of a user, minutes apart, from countries too far apart to travel between in that time."""
    user = rng.choice(population.users)
    far = [country for country in COUNTRIES if distance_km(user.country, country) > FAR_KM]
    abroad = random_address(rng, rng.choice(rng.choice(far).blocks))
    home = user.clients[0]
    steps = [
        (0.0, (LOGIN_SUCCEEDED, home)),
        (rng.uniform(10, 25) * MINUTE, (LOGIN_SUCCEEDED, _impersonating(home, abroad))),
    ]
    return Attack(
        "impossible_travel",
        _on_user("impossible_travel", user.username),
        (_on_user("several_countries", user.username),),
        events_of(rng, steps, at=at),
    )


def distributed_brute_force(rng: Random, population: Population, at: int) -> Attack:
    """Return an attack in which addresses of many countries share the guesses, so that none of them stands out."""
    victim = _random_client(rng, population)
    steps = spaced(rng, _shared_guesses(rng, victim), seconds=(30, 60))
    expected = _on_user("distributed_brute_force_user", victim.username)
    return Attack("distributed_brute_force", expected, (), events_of(rng, steps, at=at))


def success_after_distributed(rng: Random, population: Population, at: int) -> Attack:
    """Return a distributed brute force attack whose last guess is right."""
    victim = _random_client(rng, population)
    guesses = _shared_guesses(rng, victim)
    steps = spaced(rng, [*guesses, (LOGIN_SUCCEEDED, guesses[0][1])], seconds=(30, 60))
    expected = _on_user("success_after_attack", victim.username)
    also = (_on_user("distributed_brute_force_user", victim.username),)
    return Attack("success_after_distributed", expected, also, events_of(rng, steps, at=at))


def distributed_spray(rng: Random, population: Population, at: int) -> Attack:
    """Return an attack in which several addresses try a few passwords on the users of one application."""
    app = rng.choice(("mail", "vpn"))
    sources = [random_attacker_address(rng) for _ in range(8)]
    victims = [user.username for user in _random_users(rng, population, count=10)]
    guesses = [
        (WRONG_PASSWORD, _script_client(username, rng.choice(sources), app=app))
        for _ in range(4)
        for username in victims
    ]
    steps = spaced(rng, guesses, seconds=(10, 20))
    expected = ExpectedDetection("password_spray_distributed", "app", app)
    return Attack("distributed_spray", expected, (), events_of(rng, steps, at=at))


def session_replay(rng: Random, population: Population, at: int) -> Attack:
    """Return a session that a user opens at home and a script then uses from another address."""
    user = rng.choice(population.users)
    home, src_ip = user.clients[0], random_attacker_address(rng)
    steps = [
        (0.0, (LOGIN_SUCCEEDED, home)),
        (rng.uniform(40, 50) * MINUTE, (LOGIN_SUCCEEDED, _impersonating(home, src_ip))),
    ]
    opened, replayed = events_of(rng, steps, at=at)
    session_id = opened.session_id or b""
    expected = ExpectedDetection("session_replay", "session_id", session_id.decode())
    events = (opened, msgspec.structs.replace(replayed, session_id=session_id))
    return Attack("session_replay", expected, (), events)


def lockouts(rng: Random, population: Population, at: int) -> Attack:
    """Return an attack in which one address guesses until the account locks, and again when it is unlocked."""
    src_ip = random_attacker_address(rng)
    attacker = _impersonating(_random_client(rng, population), src_ip)
    steps: list[TimedStep] = []
    for number in range(4):
        begin = number * 40 * MINUTE
        guesses = [*repeat((WRONG_PASSWORD, attacker), 4), (ACCOUNT_LOCKED, attacker)]
        steps += ((begin + seconds, step) for seconds, step in spaced(rng, guesses, seconds=(20, 40)))
    return Attack(
        "lockouts",
        _on_user("lockout_burst", attacker.username),
        _each_on_ip(("lockout_burst_ip",), src_ip),
        events_of(rng, steps, at=at),
    )


def stolen_password(rng: Random, population: Population, at: int) -> Attack:
    """Return someone with a user's password who logs in again and again, each time in a new session."""
    src_ip, victim = random_attacker_address(rng), _random_client(rng, population)
    logins = repeat((LOGIN_SUCCEEDED, _impersonating(victim, src_ip)), rng.randint(4, 6))
    steps = spaced(rng, logins, seconds=(2 * MINUTE, 4 * MINUTE))
    expected = _on_user("concurrent_sessions", victim.username)
    return Attack("stolen_password", expected, (), events_of(rng, steps, at=at))


def mfa_fatigue(rng: Random, population: Population, at: int) -> Attack:
    """Return an attack by someone with the password: the user refuses the second factor repeatedly, then gives in."""
    src_ip = random_attacker_address(rng)
    asking = msgspec.structs.replace(
        _impersonating(_random_client(rng, population), src_ip), auth_method="password+push", is_mfa=True
    )
    requests = [*repeat((MFA_FAILED, asking), rng.randint(6, 9)), (LOGIN_SUCCEEDED, asking)]
    steps = spaced(rng, requests, seconds=(25, 50))
    return Attack("mfa_fatigue", _on_user("mfa_fatigue", asking.username), (), events_of(rng, steps, at=at))


SCENARIOS: tuple[Scenario, ...] = (
    brute_force,
    password_spray,
    credential_stuffing,
    enumeration,
    success_after_attack,
    impossible_travel,
    slow_brute_force,
    distributed_brute_force,
    lockouts,
    mfa_fatigue,
    success_after_distributed,
    distributed_spray,
    session_replay,
    stolen_password,
)


def _impersonating(victim: Client, src_ip: str) -> Client:
    """Return a script that uses the victim's name and application."""
    return _script_client(victim.username, src_ip, app=victim.app)


def _shared_guesses(rng: Random, victim: Client) -> list[Step]:
    """Return guesses at a user from one address of each country of attackers, three from each."""
    sources = [random_address(rng, rng.choice(blocks)) for blocks in ATTACKER_BLOCKS.values()]
    return [(WRONG_PASSWORD, _impersonating(victim, src_ip)) for _ in range(3) for src_ip in sources]


def _unknown_users(rng: Random, src_ip: str, *, count: int) -> list[Step]:
    """Return one failed login for each of `count` different names that no user has."""
    return [
        (UNKNOWN_USER, _script_client(f"nobody{number:04d}", src_ip, app=rng.choice(("mail", "vpn"))))
        for number in rng.sample(range(10_000), count)
    ]


def _script_client(username: str, src_ip: str, *, app: str) -> Client:
    return Client(
        username=username,
        src_ip=src_ip,
        app=app,
        host=f"{app}-1",
        auth_method="password",
        is_mfa=False,
        user_agent=SCRIPT_AGENT,
    )


def _random_client(rng: Random, population: Population) -> Client:
    return rng.choice(rng.choice(population.users).clients)


def _random_users(rng: Random, population: Population, *, count: int) -> list[User]:
    """Return `count` different users, or all users if the population is smaller."""
    return rng.sample(population.users, min(count, len(population.users)))


def _on_ip(rule: str, src_ip: str) -> ExpectedDetection:
    return ExpectedDetection(rule, "src_ip", src_ip)


def _each_on_ip(rules: tuple[str, ...], src_ip: str) -> tuple[ExpectedDetection, ...]:
    return tuple(_on_ip(rule, src_ip) for rule in rules)


def _on_user(rule: str, username: str) -> ExpectedDetection:
    return ExpectedDetection(rule, "username", username)
