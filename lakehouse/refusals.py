"""Why a value is refused, in words instead of those of pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LONGEST_VALUE = 80

# By pydantic's type of the error: what is wrong with the value.
OF_VALUE = {
    "int_parsing": "is not an integer",
    "int_from_float": "is not an integer",
    "int_parsing_size": "is too large",
    "float_parsing": "is not a number",
    "bool_parsing": "is not true or false",
    "greater_than": "is not greater than {gt}",
    "greater_than_equal": "is not {ge} or more",
    "less_than_equal": "is not {le} or less",
    "string_pattern_mismatch": "does not match {pattern}",
    "string_too_long": "has more than {max_length} characters",
    "literal_error": "is not one of {expected}",
}
# The same without the value, which is missing or may be of any type.
OF_NAME = {
    "missing": "is missing",
    "extra_forbidden": "is not a known field",
    "string_type": "is not text",
    "string_too_short": "is empty",
    "model_attributes_type": "is not a JSON object",
    "json_invalid": "is not JSON",
}


def refusal(fault: Mapping[str, Any], subject: str = "") -> str:
    """Return why pydantic refuses a value: `--port abc is not an integer`.

    Args:
        fault: One of the `errors()` of pydantic.
        subject: What precedes the value: `--port `, `LOGINLAKE_PORT=`, `label: `.
    """
    name = subject.rstrip(" =:")
    if words := OF_VALUE.get(fault["type"]):
        bounds = {key: _number(bound) for key, bound in fault.get("ctx", {}).items()}
        return f"{subject}{_text(fault['input'])} {words.format(**bounds)}"
    if words := OF_NAME.get(fault["type"]):
        return f"{name} {words}"
    # Of a validator of our own, or not foreseen; the value may be secret.
    why = fault["msg"].removeprefix("Value error, ").removesuffix(".")
    return f"{name}: {why}" if name else why


def _number(bound: Any) -> Any:
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


def _text(value: object) -> str:
    """Return a value on one line: in quotes if it has blanks or other than printable characters."""
    text = str(value)
    shown = text if text.isprintable() and text and " " not in text else ascii(text)
    return shown if len(shown) <= LONGEST_VALUE else f"{shown[:LONGEST_VALUE]}…"
