"""Times on the command line: dates, `today`, `yesterday`, ages and instants; all are UTC."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

from lakehouse.errors import BadQuery

AGE = re.compile(r"-([0-9]{1,7})([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?([Zz]|[+-][0-9:]{5})?)?"
)
DAYS_AGO = {"today": 0, "yesterday": 1}
HINT = "Write a date such as 2026-01-31, today, yesterday, an age such as -7d or -24h, or 2026-01-31T08:00:00Z"


def time_parser(now: datetime) -> Callable[[str], datetime]:
    """Return a parser of times: a date is its first instant, an age is subtracted from `now`, no zone means UTC."""

    def parse(text: str) -> datetime:
        try:
            return _parse(text.strip().lower(), now)
        except (ValueError, OverflowError) as error:
            raise BadQuery(f"{text!a} is not a time", hint=HINT) from error

    return parse


def _parse(text: str, now: datetime) -> datetime:
    if text in DAYS_AGO:
        return datetime.combine(now.date() - timedelta(days=DAYS_AGO[text]), time(), UTC)
    if age := AGE.fullmatch(text):
        return now - timedelta(**{UNITS[age[2]]: int(age[1])})
    if not INSTANT.fullmatch(text):
        raise ValueError(text)
    instant = datetime.fromisoformat(text.upper())
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
