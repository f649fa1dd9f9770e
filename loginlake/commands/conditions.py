"""Conditions on the command line, such as `--where 'failures>10'`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lakehouse.errors import BadQuery, name_hint
from serving.parameters import parser_of, time_parser, values_of

if TYPE_CHECKING:
    from lakehouse.tables.model import Column
    from serving.selection import Condition

CONDITION = re.compile(r"\s*(\w+)\s*(!=|<=|>=|=|<|>)(.*)", re.DOTALL)
HINT = "Write --where COLUMN=VALUE, or with !=, <, <=, > or >=, in quotes: --where 'failures>10'"
EQUAL = "="


def parse_conditions(texts: Sequence[str], columns: Sequence[Column], *, now: datetime) -> tuple[Condition, ...]:
    """Return the conditions; several values of one column with = or with != are one condition.

    Args:
        texts: Values of --where; `COLUMN=` without a value selects rows without one.
        columns: The columns of the rows.
        now: The instant that ages are subtracted from.

    Raises:
        BadQuery: A text is not a condition, or names an unknown column or a malformed value.
    """
    from serving.selection import Comparison, Filter

    parsers = {name: parse for column in columns if (name := column.name) and (parse := _parser(column, now))}
    closed = {column.name for column in columns if values_of(column)}
    values: dict[tuple[str, str], list[Any]] = {}
    for text in texts:
        column, sign, value = _parse(text, parsers)
        if column in closed and sign not in ("=", "!="):
            raise BadQuery(
                f"--where {column}: {sign} needs a column whose values have an order",
                hint="Use = or !=, once per value",
            )
        values.setdefault((column, sign), []).append(value)
    equals = [
        Filter(column, tuple(each), negated=sign != EQUAL)
        for (column, sign), each in values.items()
        if sign in ("=", "!=")
    ]
    compared = [
        Comparison(column, sign, value)
        for (column, sign), each in values.items()
        if sign not in ("=", "!=")
        for value in each
    ]
    return (*equals, *compared)


def _parser(column: Column, now: datetime) -> Callable[[str], Any] | None:
    return time_parser(now) if column.type == "timestamp" else parser_of(column)


def _parse(text: str, parsers: Mapping[str, Callable[[str], Any]]) -> tuple[str, str, Any]:
    parts = CONDITION.fullmatch(text)
    if parts is None:
        raise BadQuery(f"--where {text!a} is not a condition", hint=HINT)
    column, sign, value = parts.groups()
    if column not in parsers:
        raise BadQuery(f"--where: there is no column {column!r}", hint=name_hint(column, parsers))
    if not value:
        if sign in ("=", "!="):
            return column, sign, None
        raise BadQuery(f"--where {text!a} has no value", hint=HINT)
    try:
        text.encode()
        return column, sign, parsers[column](value)
    except UnicodeEncodeError as error:  # undecodable bytes of a command line
        raise BadQuery(f"--where {column} is not valid UTF-8", hint="Write it in UTF-8") from error
    except BadQuery as error:
        raise BadQuery(f"--where {column}: {error.what}", hint=error.hint) from error
