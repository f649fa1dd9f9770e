"""Instants as whole microseconds since 1970, UTC: what Arrow, Spark and Delta keep."""

from __future__ import annotations

from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR


def to_micros(instant: datetime) -> int:
    """Microseconds since 1970 of a time-zone-aware instant, exactly."""
    since = instant - EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


def year_of(micros: int) -> int:
    """The UTC year of an instant; one beyond what Python's calendar holds gets the calendar's first or last year."""
    try:
        return (EPOCH + timedelta(microseconds=micros)).year
    except OverflowError:
        return MINYEAR if micros < 0 else MAXYEAR
