"""Instants as whole microseconds since 1970, UTC, as Arrow, Spark and Delta store them."""

from __future__ import annotations

from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta
from typing import Annotated

import msgspec

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
Instant = Annotated[datetime, msgspec.Meta(tz=True)]


def to_micros(instant: datetime) -> int:
    """Return the exact microseconds since 1970 of an instant with a time zone."""
    since = instant - EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


def instant_of(text: str) -> int | None:
    """Return the microseconds since 1970 of an RFC 3339 text with a time zone; None for another text."""
    try:
        return to_micros(msgspec.convert(text, Instant))
    except msgspec.ValidationError:
        return None


def year_of(micros: int) -> int:
    """Return the UTC year of an instant; outside of Python's calendar its first or last year."""
    try:
        return (EPOCH + timedelta(microseconds=micros)).year
    except OverflowError:
        return MINYEAR if micros < 0 else MAXYEAR
