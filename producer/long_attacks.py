"""Planted attacks on users and apps that behave in the same way for weeks before, which rules over baselines compare.

Their users and apps are not of the population, whose background traffic would hide the baseline. They are planted only
into a batch of `DAYS` days or more, as often as its cases require, and never into a live stream.
"""

from __future__ import annotations

from random import Random

import msgspec

from producer.events import LOGIN_SUCCEEDED, MFA_FAILED, Client
from producer.ip_blocks import ATTACKER_BLOCKS, OFFICE_BLOCK, random_address, random_attacker_address
from producer.planted import HOUR, MINUTE, Attack, ExpectedDetection, Scenario, TimedStep, events_of
from producer.population import Population, a_client

DAY = 24 * HOUR
# No attack takes longer.
DAYS = 38
SCRIPT_AGENT = "python-requests/2.32.5"
# The user of these blocks is at home in Germany; attackers from there are in another country's blocks.
HOME_BLOCK = "84.128.0.0/16"
ABROAD = tuple(block for country, blocks in ATTACKER_BLOCKS.items() if country != "DE" for block in blocks)
SILENT_DAYS = 32
CLERK_DAYS = 24
CAMPAIGN_DAYS = 21


def dormant_account(rng: Random, _population: Population, at: int) -> Attack:
    """Return the account of somebody who left: logins of a few days, silence, and a login from another country."""
    user = a_client(rng, f"leaver{rng.randrange(100_000):05d}", src_ip=random_address(rng, HOME_BLOCK))
    steps: list[TimedStep] = [(day * DAY + rng.uniform(8, 17) * HOUR, (LOGIN_SUCCEEDED, user)) for day in range(4)]
    steps.append(((4 + SILENT_DAYS) * DAY + rng.uniform(8, 17) * HOUR, (LOGIN_SUCCEEDED, _stolen(rng, user))))
    also = _each_on_user(("new_ip", "new_country", "new_agent"), user.username)
    return Attack("dormant_account", _on_user("dormant_user", user.username), also, events_of(rng, steps, at=at))


def night_login(rng: Random, _population: Population, at: int) -> Attack:
    """Return a clerk who logs in at the same times of every day, and somebody who logs in twelve hours later."""
    first_hour = rng.randrange(24)
    user = a_client(rng, f"clerk{rng.randrange(100_000):05d}", src_ip=random_address(rng, HOME_BLOCK))
    steps: list[TimedStep] = [
        (day * DAY + (first_hour + rng.uniform(0, 4)) * HOUR, (LOGIN_SUCCEEDED, user))
        for day in range(CLERK_DAYS)
        for _ in range(2)
    ]
    steps.append((CLERK_DAYS * DAY + (first_hour + 2 + 12) * HOUR, (LOGIN_SUCCEEDED, _stolen(rng, user))))
    also = _each_on_user(("new_ip", "new_country", "new_agent"), user.username)
    return Attack("night_login", _on_user("unusual_hour", user.username), also, events_of(rng, steps, at=at))


def push_campaign(rng: Random, population: Population, at: int) -> Attack:
    """Return somebody with the passwords of many users who asks each of them once for the second factor.

    Each request is from another address, so that no address or user stands out, only the app.
    """
    app = f"payroll{rng.randrange(100_000):05d}"
    usual = a_client(rng, f"clerk{rng.randrange(100_000):05d}", src_ip=random_address(rng, OFFICE_BLOCK))
    steps: list[TimedStep] = [
        (day * DAY + rng.uniform(8, 17) * HOUR, (MFA_FAILED, _of_app(usual, app))) for day in range(CAMPAIGN_DAYS)
    ]
    victims = rng.sample(population.users, min(60, len(population.users)))
    begin = CAMPAIGN_DAYS * DAY + rng.uniform(8, 16) * HOUR
    steps += (
        (
            begin + rng.uniform(0, 50) * MINUTE,
            (MFA_FAILED, _of_app(_moved(user.clients[0], random_attacker_address(rng)), app)),
        )
        for user in victims
    )
    expected = ExpectedDetection("failure_spike", "app", app)
    return Attack("push_campaign", expected, (), events_of(rng, steps, at=at))


SCENARIOS: tuple[Scenario, ...] = (dormant_account, night_login, push_campaign)


def _stolen(rng: Random, user: Client) -> Client:
    """Return a script with the user's password, in another country."""
    return msgspec.structs.replace(_moved(user, random_address(rng, rng.choice(ABROAD))), user_agent=SCRIPT_AGENT)


def _moved(client: Client, src_ip: str) -> Client:
    return msgspec.structs.replace(client, src_ip=src_ip)


def _of_app(client: Client, app: str) -> Client:
    return msgspec.structs.replace(client, app=app, host=f"{app}-1")


def _on_user(rule: str, username: str) -> ExpectedDetection:
    return ExpectedDetection(rule, "username", username)


def _each_on_user(rules: tuple[str, ...], username: str) -> tuple[ExpectedDetection, ...]:
    return tuple(_on_user(rule, username) for rule in rules)
