"""Why a threshold is refused, in words instead of the notation of msgspec."""

from __future__ import annotations

import re

from lakehouse.tables.gold import SEVERITIES

# How msgspec describes a wrong value, and its names of the types of TOML and JSON.
REFUSED = re.compile(r"(?P<what>.*) - at `\$\.(?P<path>[\w.]+).*`")
UNKNOWN_VALUE = re.compile("Invalid enum value (.*)")
TYPES = {
    "int": "an integer",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a section",
    "null": "null",
}


def refusal(error: Exception) -> str:
    """Return which value is refused and why: `brute_force_ip.capacity: expected an integer, got text`."""
    refused = REFUSED.fullmatch(str(error))
    if refused is None:
        return str(error)
    what = re.sub("`(.*?)`", lambda type_: TYPES.get(type_[1], type_[1]), refused["what"])
    if unknown := UNKNOWN_VALUE.fullmatch(what):
        what = f"{unknown[1]} is not one of {', '.join(SEVERITIES)}"  # no other threshold is a closed list
    return f"{refused['path']}: {what[0].lower()}{what[1:]}"
