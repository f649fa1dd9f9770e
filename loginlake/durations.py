"""Durations that --every takes."""

from __future__ import annotations

import re

from lakehouse.errors import UsageError

UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600}


def parse_duration(text: str) -> int:
    """Return the seconds of a duration such as 15s, 1m or 1h.

    Raises:
        UsageError: The text is not a duration.
    """
    parts = re.fullmatch(r"([1-9][0-9]{0,6})([smh])", text)
    if parts is None:
        raise UsageError(f"--every: {text!r} is not a duration", hint="Write one such as 15s, 1m or 1h")
    return int(parts[1]) * UNIT_SECONDS[parts[2]]
