"""The rules over baselines a second time: plain loops, written from the descriptions in docs/rules.md."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from operator import itemgetter
from statistics import median
from typing import Any

from gold.rules.baseline import BaselineRule
from gold.rules.dormant_user import DormantUser
from gold.rules.failure_spike import FailureSpike
from gold.rules.new_values import NewValueRule
from gold.rules.unusual_hour import UnusualHour

Event = dict[str, Any]
# The rule, the entity, when the rule first fires on a day, and at how many events of the day.
Found = tuple[str, str, datetime, int]


def found_by(rule: BaselineRule, events: list[Event]) -> list[Found]:
    """Return what a rule finds, per entity and day, in rows of silver.events."""
    of_entity = defaultdict(list)
    for event in sorted(events, key=itemgetter("event_at", "topic", "partition", "offset")):
        if event["verdict"] == "accepted" and event["action"] == "login" and event[rule.entity] is not None:
            of_entity[event[rule.entity]].append(event)
    return sorted(
        (rule.name, entity, hits[0]["event_at"], len(hits))
        for entity, its_events in of_entity.items()
        if entity not in rule.allow
        for hits in per_day(fired(rule, its_events))
    )


def fired(rule: BaselineRule, events: list[Event]) -> Iterator[Event]:
    successes = [event for event in events if event["outcome"] == "success"]
    if isinstance(rule, NewValueRule):
        return new_values(rule, successes)
    if isinstance(rule, DormantUser):
        return dormant_user(rule, successes)
    if isinstance(rule, UnusualHour):
        return unusual_hour(rule, successes)
    assert isinstance(rule, FailureSpike)
    return failure_spike(rule, [event for event in events if is_failure(event)])


def new_values(rule: NewValueRule, events: list[Event]) -> Iterator[Event]:
    for event in events:
        value, at = event[rule.column], event["event_at"]
        earlier = [each for each in events if each["event_at"] < at]
        is_new = value is not None and value not in {each[rule.column] for each in earlier}
        if is_new and at - events[0]["event_at"] >= timedelta(days=rule.user_days):
            yield event


def dormant_user(rule: DormantUser, events: list[Event]) -> Iterator[Event]:
    for event in events:
        at = hour_of(event)
        earlier = [hour_of(each) for each in events if hour_of(each) < at]
        if earlier and at - max(earlier) >= timedelta(days=rule.days):
            yield event


def unusual_hour(rule: UnusualHour, events: list[Event]) -> Iterator[Event]:
    for event in events:
        day, hour = event["event_at"].date(), event["event_at"].hour
        before = [each for each in events if timedelta(0) < day - each["event_at"].date() <= timedelta(days=rule.days)]
        distances = [abs(each["event_at"].hour - hour) for each in before]
        is_near = any(min(distance, 24 - distance) <= rule.hours for distance in distances)
        is_known = event["event_at"] - events[0]["event_at"] >= timedelta(days=rule.user_days)
        if is_known and sum(each["times"] for each in before) >= rule.logins and not is_near:
            yield event


def failure_spike(rule: FailureSpike, events: list[Event]) -> Iterator[Event]:
    per_hour: dict[datetime, int] = defaultdict(int)
    for event in events:
        per_hour[hour_of(event)] += event["times"]
    so_far: dict[datetime, int] = defaultdict(int)
    for event in events:
        hour = hour_of(event)
        so_far[hour] += event["times"]
        same_hours = [per_hour.get(hour - timedelta(days=distance), 0) for distance in range(1, rule.days + 1)]
        middle = median(same_hours)
        spread = max(median([abs(count - middle) for count in same_hours]), 1)
        half, whole = timedelta(days=rule.days) / 2, timedelta(days=rule.days)
        has_baseline = any(half <= hour - each <= whole for each in per_hour)
        is_spike = 0.6745 * (so_far[hour] - middle) / spread > rule.z_score
        if has_baseline and is_spike and so_far[hour] >= rule.failures:
            yield event


def per_day(hits: Iterator[Event]) -> list[list[Event]]:
    days: dict[date, list[Event]] = defaultdict(list)
    for hit in hits:
        days[hit["event_at"].date()].append(hit)
    return list(days.values())


def is_failure(event: Event) -> bool:
    is_refused_key = event["auth_method"] == "publickey" and event["failure_reason"] != "unknown_user"
    return event["outcome"] == "failure" and not is_refused_key


def hour_of(event: Event) -> datetime:
    at: datetime = event["event_at"]
    return at.replace(minute=0, second=0, microsecond=0)
