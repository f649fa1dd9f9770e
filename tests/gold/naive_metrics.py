"""The metrics a second time: plain loops over events, written from the meanings of the columns.

They share no code with the metrics, so that each can be checked against the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

Event = dict[str, Any]
Row = dict[str, Any]


def naive_rows(name: str, events: Iterable[Event], *, every: str) -> list[Row]:
    """Return the rows of a metric over events of any verdict and action, in no order."""
    counted = [
        event | {"reason": event["failure_reason"]}
        for event in events
        if event["verdict"] == "accepted" and event["action"] in ("login", "probe", "lockout")
    ]
    if name == "active_users":
        return active_users(successes(counted), every=every)
    if name == "hour_of_week":
        return hour_of_week(counted, every=every)
    dimensions, measures_of = METRICS[name]
    groups = defaultdict(list)
    for event in counted:
        key = (window_start(event["event_at"], every), *(event[name] for name in dimensions))
        groups[key].append(event)
    return [
        {"window_at": at, "window_on": at.date(), **dict(zip(dimensions, key, strict=True)), **measures}
        for (at, *key), group in groups.items()
        if (measures := measures_of(group))
    ]


def window_start(at: datetime, every: str) -> datetime:
    hour = at.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    starts = {"hour": hour, "day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}
    return starts[every]


def ip_activity(events: Sequence[Event]) -> Row:
    return outcomes(events) | {
        "failure_rate": rate(failures(events), attempts(events)),
        "users": distinct("username", attempts(events)),
        "users_failed": distinct("username", failures(events)),
        "apps": distinct("app", attempts(events)),
        "lockouts": occurrences(event for event in events if event["action"] == "lockout"),
        "country": events[0]["country"],
        "is_private": events[0]["is_private"],
        "first_at": min(event["event_at"] for event in events),
        "last_at": max(event["event_at"] for event in events),
    }


def user_activity(events: Sequence[Event]) -> Row:
    return outcomes(events) | {
        "failure_rate": rate(failures(events), attempts(events)),
        "ips": distinct("src_ip", attempts(events)),
        "countries": distinct("country", attempts(events)),
        "apps": distinct("app", attempts(events)),
        "lockouts": occurrences(event for event in events if event["action"] == "lockout"),
        "last_success_at": max((event["event_at"] for event in successes(events)), default=None),
        "last_failure_at": max((event["event_at"] for event in failures(events)), default=None),
    }


def app_activity(events: Sequence[Event]) -> Row:
    return outcomes(events) | {
        "active_users": distinct("username", successes(events)),
        "active_ips": distinct("src_ip", successes(events)),
        "mfa_rate": rate([event for event in successes(events) if event["is_mfa"]], successes(events)),
    }


def country_activity(events: Sequence[Event]) -> Row:
    return outcomes(events) | {
        "users": distinct("username", attempts(events)),
        "ips": distinct("src_ip", attempts(events)),
    }


def failure_reasons(events: Sequence[Event]) -> Row:
    failed = failures(events)
    if not failed:
        return {}
    return {
        "failures": occurrences(failed),
        "users": distinct("username", failed),
        "ips": distinct("src_ip", failed),
    }


def active_users(events: Sequence[Event], *, every: str) -> list[Row]:
    rows = {}
    for event in events:
        at = window_start(event["event_at"], every)
        row = {"window_at": at, "window_on": at.date(), "active": 0, "new": 0, "returning": 0, "reactivated": 0}
        rows.setdefault(at, row)
    for at, row in rows.items():
        for username in {each["username"] for each in events if window_start(each["event_at"], every) == at}:
            hours = [window_start(each["event_at"], "hour") for each in events if each["username"] == username]
            before = [hour for hour in hours if hour < at]
            first = min(hour for hour in hours if hour >= at)
            row["active"] += 1
            if not before:
                row["new"] += 1
            elif first - max(before) >= timedelta(days=30):
                row["reactivated"] += 1
            else:
                row["returning"] += 1
    return list(rows.values())


def hour_of_week(events: Sequence[Event], *, every: str) -> list[Row]:
    rows = []
    for at in {window_start(event["event_at"], every) for event in events}:
        groups = defaultdict(list)
        for event in attempts(events):
            for weeks in (1, 2, 3, 4):
                if window_start(event["event_at"] + timedelta(weeks=weeks), every) == at:
                    groups[event["username"], event["event_at"].isoweekday(), event["event_at"].hour].append(event)
        rows += [
            {
                "window_at": at,
                "window_on": at.date(),
                "username": username,
                "weekday": weekday,
                "hour": hour,
                "attempts": occurrences(group),
                "successes": occurrences(successes(group)),
                "failures": occurrences(failures(group)),
            }
            for (username, weekday, hour), group in groups.items()
        ]
    return rows


METRICS: dict[str, tuple[tuple[str, ...], Callable[[Sequence[Event]], Row]]] = {
    "ip_activity": (("src_ip",), ip_activity),
    "user_activity": (("username",), user_activity),
    "app_activity": (("app",), app_activity),
    "country_activity": (("country",), country_activity),
    "failure_reasons": (("app", "reason"), failure_reasons),
}


def outcomes(events: Sequence[Event]) -> Row:
    return {
        "attempts": occurrences(attempts(events)),
        "successes": occurrences(successes(events)),
        "failures": occurrences(failures(events)),
        "probes": occurrences(event for event in events if event["action"] == "probe"),
    }


def attempts(events: Iterable[Event]) -> list[Event]:
    return [event for event in events if event["action"] == "login"]


def successes(events: Iterable[Event]) -> list[Event]:
    return [event for event in attempts(events) if event["outcome"] == "success"]


def failures(events: Iterable[Event]) -> list[Event]:
    return [event for event in attempts(events) if event["outcome"] == "failure"]


def occurrences(events: Iterable[Event]) -> int:
    return sum(event["times"] for event in events)


def distinct(column: str, events: Iterable[Event]) -> int:
    return len({event[column] for event in events})


def rate(part: Sequence[Event], whole: Sequence[Event]) -> float | None:
    return occurrences(part) / occurrences(whole) if whole else None
