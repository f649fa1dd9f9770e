"""The parameters of a query: each is declared once, for REST, its docs and the command line, with a strict parser."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Generic, TypeVar

from lakehouse.errors import BadQuery, name_hint
from lakehouse.tables.gold import RULE
from lakehouse.tables.model import Column

Value = TypeVar("Value")

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 10_000
LARGEST_LONG = 2**63 - 1
LONGEST_QUOTE = 80

INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
INSTANT = re.compile(DAY.pattern + r"([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?")
AGE = re.compile(r"-([0-9]{1,7})([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
DAYS_AGO = {"today": 0, "yesterday": 1}
TIME_HINT = "Write a date such as 2026-01-31, today, yesterday, an age such as -7d or -24h, or 2026-01-31T08:00:00Z"


class UnknownParameter(BadQuery):
    """A query has an unknown parameter, or repeats one that may be given only once."""


@dataclass(frozen=True)
class Parameter(Generic[Value]):
    """One parameter of a query.

    Attributes:
        name: The name in the URL.
        parse: Returns the value of a text; raises BadQuery.
        meaning: One sentence for the docs.
        schema: JSON Schema of the text, for OpenAPI.
        repeatable: True if several values may be given.
    """

    name: str
    parse: Callable[[str], Value]
    meaning: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    repeatable: bool = False

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI description of the parameter."""
        schema = {"type": "array", "items": dict(self.schema)} if self.repeatable else dict(self.schema)
        return {"name": self.name, "in": "query", "required": False, "description": self.meaning, "schema": schema}


@dataclass(frozen=True)
class QueryParams:
    """The parameters of one query; all are known, and only repeatable ones are repeated."""

    pairs: tuple[tuple[str, str], ...]

    def one(self, parameter: Parameter[Value]) -> Value | None:
        """Return the value of a parameter, None if it is not given.

        Raises:
            BadQuery: The value is malformed; the error names the parameter.
        """
        return next(iter(self.every(parameter)), None)

    def every(self, parameter: Parameter[Value]) -> tuple[Value, ...]:
        """Return the values of a parameter in the order in which they were given.

        Raises:
            BadQuery: A value is malformed; the error names the parameter.
        """
        return tuple(_parse(parameter, text) for name, text in self.pairs if name == parameter.name)


def check_params(pairs: Iterable[tuple[str, str]], allowed: Iterable[Parameter[Any]]) -> QueryParams:
    """Return the pairs as parameters of a query; their values are parsed when they are used.

    Raises:
        UnknownParameter: One is not allowed, or repeated although it takes one value.
    """
    known = {parameter.name: parameter for parameter in allowed}
    listed = tuple(pairs)
    for name, times in Counter(name for name, _ in listed).items():
        if name not in known:
            raise UnknownParameter(
                f"There is no parameter {quoted(name)} here",
                hint=name_hint(name, known) if known else "Leave it out",
                parameter=name,
            )
        if times > 1 and not known[name].repeatable:
            raise UnknownParameter(f"{name} is given {times} times", hint="Give it once", parameter=name)
    return QueryParams(listed)


def _parse(parameter: Parameter[Value], text: str) -> Value:
    try:
        text.encode()
        return parameter.parse(text)
    except UnicodeEncodeError as error:  # undecodable bytes of a command line
        raise BadQuery(
            f"{parameter.name} is not valid UTF-8", hint="Write it in UTF-8", parameter=parameter.name
        ) from error
    except BadQuery as error:
        raise BadQuery(f"{parameter.name}: {error.what}", hint=error.hint, parameter=parameter.name) from error


def integer(text: str) -> int:
    """Parse a whole number in plain decimal digits that fits a long: no sign but `-`, no `_`, no exponent."""
    if not INTEGER.fullmatch(text) or abs(int(text)) > LARGEST_LONG:
        raise BadQuery(f"{quoted(text)} is not an integer", hint="Write plain digits, such as 17")
    return int(text)


def natural(text: str) -> int:
    """Parse an integer from 0 on."""
    return integer_between(0, LARGEST_LONG)(text)


def integer_between(least: int, most: int) -> Callable[[str], int]:
    """Return a parser of integers from `least` to `most`, both included."""

    def parse(text: str) -> int:
        value = integer(text)
        if not least <= value <= most:
            raise BadQuery(f"{value} is out of bounds", hint=f"Use an integer from {least} to {most}")
        return value

    return parse


def number(text: str) -> float:
    """Parse a finite number in plain decimal digits."""
    if not NUMBER.fullmatch(text):
        raise BadQuery(f"{quoted(text)} is not a number", hint="Write a number such as 0.5")
    return float(text)


def time_parser(now: datetime) -> Callable[[str], datetime]:
    """Return a parser of times: a date is its first instant, an age is subtracted from `now`, no zone means UTC."""

    def parse(text: str) -> datetime:
        try:
            return _time(text.strip().lower(), now)
        except (ValueError, OverflowError) as error:
            raise BadQuery(f"{quoted(text)} is not a time", hint=TIME_HINT) from error

    return parse


def _time(text: str, now: datetime) -> datetime:
    if text in DAYS_AGO:
        return datetime.combine(now.date() - timedelta(days=DAYS_AGO[text]), time(), UTC)
    if age := AGE.fullmatch(text):
        return now - timedelta(**{UNITS[age[2]]: int(age[1])})
    if not INSTANT.fullmatch(text):
        raise ValueError(text)
    instant = datetime.fromisoformat(text.upper())
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


def at_time(parameter: Parameter[str], now: datetime) -> Parameter[datetime]:
    """Return the parameter with its text parsed as a time; ages are subtracted from `now`."""
    return Parameter(parameter.name, time_parser(now), parameter.meaning, parameter.schema)


def day(text: str) -> date:
    """Parse a day such as 2026-01-31."""
    malformed = BadQuery(f"{quoted(text)} is not a day", hint="Write a day such as 2026-01-31")
    if not DAY.fullmatch(text):
        raise malformed
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise malformed from error


def boolean(text: str) -> bool:
    """Parse `true` or `false`."""
    return one_of("true", "false")(text) == "true"


def one_of(*allowed: str) -> Callable[[str], str]:
    """Return a parser that accepts only these words."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise BadQuery(f"{quoted(text)} is not a known value", hint=name_hint(text, allowed))
        return text

    return parse


PARSERS: dict[str, Callable[[str], Any]] = {
    "string": str,
    "long": integer,
    "integer": integer,
    "double": number,
    "boolean": boolean,
    "date": day,
}


def parser_of(column: Column) -> Callable[[str], Any] | None:
    """Return the parser of a column's values; None for bytes and lists, and for times (see `time_parser`)."""
    if values := values_of(column):
        return one_of(*values)
    return PARSERS.get(column.type) if isinstance(column.type, str) else None


def values_of(column: Column) -> tuple[str, ...]:
    """Return the values of a column of a closed list, as it is declared or, for a rule, as `gold.rules` has them."""
    if column != RULE:
        return column.values
    from gold.rules import Rules  # here, since its import takes longer than most queries

    return Rules.__struct_fields__


def quoted(text: str) -> str:
    """Return a text as an error quotes it: in ASCII, and shortened to a line."""
    quote = ascii(text)
    return quote if len(quote) <= LONGEST_QUOTE else f"{quote[:LONGEST_QUOTE]}…"


SNAPSHOT: Parameter[int] = Parameter(
    "snapshot", natural, "Read the snapshot with this id.", schema={"type": "integer", "minimum": 0}
)
TIME = "a date (2026-01-31), today, yesterday, an age (-24h, -7d) or an instant (2026-01-31T08:00:00Z); UTC"
AS_OF: Parameter[str] = Parameter("as_of", str, f"Read the last snapshot published at or before this time: {TIME}.")
FROM: Parameter[str] = Parameter("from", str, f"Start of the period, included: {TIME}.")
TO: Parameter[str] = Parameter("to", str, f"End of the period, excluded: {TIME}.")
LIMIT: Parameter[int] = Parameter(
    "limit",
    integer_between(1, LARGEST_LIMIT),
    "Maximum number of rows.",
    schema={"type": "integer", "minimum": 1, "maximum": LARGEST_LIMIT, "default": DEFAULT_LIMIT},
)
VERSION: Parameter[int] = Parameter(
    "version",
    natural,
    "Read this version of the table alone, published or not.",
    schema={"type": "integer", "minimum": 0},
)
