"""Strict parsers from text to value: what they do not take is refused with the way to write it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from lakehouse.errors import BadQuery
from lakehouse.tables.model import Column

LARGEST_LONG = 2**63 - 1
QUOTED = 80

INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# RFC 3339, section 5.6; `fromisoformat` alone would also take week dates, naive instants and more.
INSTANT = re.compile(DAY.pattern + r"[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})")
AGE = re.compile(r"-([0-9]{1,7})([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def integer(text: str) -> int:
    """A whole number in plain decimal digits that fits a long: no sign but `-`, no `_`, no exponent."""
    if not INTEGER.fullmatch(text) or abs(int(text)) > LARGEST_LONG:
        raise BadQuery(f"{shortened(text)} is no integer", hint="Write plain digits, such as 17")
    return int(text)


def natural(text: str) -> int:
    """An integer that is not below zero."""
    return bounded(0, LARGEST_LONG)(text)


def bounded(least: int, most: int) -> Callable[[str], int]:
    """A parser of integers from `least` to `most`."""

    def parse(text: str) -> int:
        value = integer(text)
        if not least <= value <= most:
            raise BadQuery(f"{value} is out of bounds", hint=f"Write {least} to {most}")
        return value

    return parse


def number(text: str) -> float:
    """A finite number in plain decimal digits."""
    if not NUMBER.fullmatch(text):
        raise BadQuery(f"{shortened(text)} is no number", hint="Write one such as 0.5")
    return float(text)


def instant(text: str) -> datetime:
    """An instant with its zone, RFC 3339, as UTC."""
    fault = BadQuery(
        f"{shortened(text)} is no instant",
        hint="Write RFC 3339 with a zone, such as 2026-01-31T08:00:00Z (in a URL, + is %2B)",
    )
    if not INSTANT.fullmatch(text):
        raise fault
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise fault from error


def moment(text: str) -> datetime | timedelta:
    """An instant, or how far it lies before now: `-90s`, `-15m`, `-24h`, `-7d`."""
    age = AGE.fullmatch(text)
    return timedelta(**{UNITS[age[2]]: int(age[1])}) if age else instant(text)


def day(text: str) -> date:
    """A day such as 2026-01-31."""
    fault = BadQuery(f"{shortened(text)} is no day", hint="Write one such as 2026-01-31")
    if not DAY.fullmatch(text):
        raise fault
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise fault from error


def truth(text: str) -> bool:
    """`true` or `false`."""
    return one_of("true", "false")(text) == "true"


def one_of(*allowed: str) -> Callable[[str], str]:
    """A parser that takes only these words."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise BadQuery(f"{shortened(text)} is not known here", hint=f"Use one of {', '.join(allowed)}")
        return text

    return parse


PARSERS: dict[str, Callable[[str], Any]] = {
    "string": str,
    "long": integer,
    "integer": integer,
    "double": number,
    "boolean": truth,
    "date": day,
    "timestamp": instant,
}


def parser_of(column: Column) -> Callable[[str], Any] | None:
    """The parser of a column's values; None for bytes and lists, which can't be asked for."""
    return PARSERS.get(column.type) if isinstance(column.type, str) else None


def shortened(text: str) -> str:
    """A text as an error quotes it: printable, and never longer than a line."""
    quoted = ascii(text)
    return quoted if len(quoted) <= QUOTED else f"{quoted[:QUOTED]}…"
