"""Durations as a person writes them."""

from __future__ import annotations

import re

from lakehouse.errors import UsageError

SECONDS = {"s": 1, "m": 60, "h": 3600}


def seconds(duration: str) -> int:
    """The seconds of a duration such as 15s, 1m or 1h.

    Raises:
        UsageError: It is no duration.
    """
    written = re.fullmatch(r"([1-9][0-9]{0,6})([smh])", duration)
    if written is None:
        raise UsageError(f"{duration!r} is no duration", hint="Write one such as 15s, 1m or 1h")
    return int(written[1]) * SECONDS[written[2]]
