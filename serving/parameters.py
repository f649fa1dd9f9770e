"""What a question may say: each parameter named once, for REST, its docs and the command line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from lakehouse.errors import BadQuery
from serving.values import bounded, instant, moment, natural, shortened

Value = TypeVar("Value")

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 10_000


class UnknownParameter(BadQuery):
    """A question has a parameter that is not taken here, or one twice that is taken once."""


@dataclass(frozen=True)
class Parameter(Generic[Value]):
    """One parameter of a question.

    Attributes:
        name: As it stands in a URL.
        parse: From text to value; raises BadQuery.
        meaning: One sentence for the docs.
        schema: JSON Schema of the text, for OpenAPI.
        repeatable: True where several values may be given.
    """

    name: str
    parse: Callable[[str], Value]
    meaning: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    repeatable: bool = False

    def openapi(self) -> dict[str, Any]:
        """The parameter as OpenAPI describes it."""
        schema = {"type": "array", "items": dict(self.schema)} if self.repeatable else dict(self.schema)
        return {"name": self.name, "in": "query", "required": False, "description": self.meaning, "schema": schema}


@dataclass(frozen=True)
class Given:
    """The parameters of one question, all known and none given more often than it may be."""

    pairs: tuple[tuple[str, str], ...]

    def one(self, parameter: Parameter[Value]) -> Value | None:
        """The value of a parameter, None where it is not given.

        Raises:
            BadQuery: The value can't be read; the error names the parameter.
        """
        return next(iter(self.each(parameter)), None)

    def each(self, parameter: Parameter[Value]) -> tuple[Value, ...]:
        """The values of a parameter in their order.

        Raises:
            BadQuery: A value can't be read; the error names the parameter.
        """
        return tuple(_parsed(parameter, text) for name, text in self.pairs if name == parameter.name)


def given(pairs: Iterable[tuple[str, str]], takes: Iterable[Parameter[Any]]) -> Given:
    """The pairs, once checked that all are taken.

    Raises:
        UnknownParameter: One is not taken here, or given twice where one value is taken.
    """
    known = {parameter.name: parameter for parameter in takes}
    listed = tuple(pairs)
    for name, times in Counter(name for name, _ in listed).items():
        if name not in known:
            raise UnknownParameter(
                f"There is no parameter {shortened(name)} here",
                hint=f"Use {', '.join(known)}" if known else "Leave it out",
                parameter=name,
            )
        if times > 1 and not known[name].repeatable:
            raise UnknownParameter(f"{name} is given {times} times", hint="Give it once", parameter=name)
    return Given(listed)


def _parsed(parameter: Parameter[Value], text: str) -> Value:
    try:
        text.encode()
        return parameter.parse(text)
    except UnicodeEncodeError as error:  # bytes of a command line that are no text
        raise BadQuery(f"{parameter.name} is no UTF-8", hint="Write it in UTF-8", parameter=parameter.name) from error
    except BadQuery as error:
        raise BadQuery(f"{parameter.name}: {error.what}", hint=error.hint, parameter=parameter.name) from error


SNAPSHOT: Parameter[int] = Parameter(
    "snapshot", natural, "Read the snapshot of this id.", schema={"type": "integer", "minimum": 0}
)
AS_OF: Parameter[datetime] = Parameter(
    "as_of",
    instant,
    "Read the last snapshot published at or before this instant, RFC 3339.",
    schema={"type": "string", "format": "date-time"},
)
FROM: Parameter[datetime | timedelta] = Parameter(
    "from", moment, "First instant that is wanted: RFC 3339, or before now such as -24h or -7d."
)
TO: Parameter[datetime | timedelta] = Parameter(
    "to", moment, "First instant that is not wanted any more: RFC 3339, or before now such as -1h."
)
LIMIT: Parameter[int] = Parameter(
    "limit",
    bounded(1, LARGEST_LIMIT),
    "Rows of the answer at most.",
    schema={"type": "integer", "minimum": 1, "maximum": LARGEST_LIMIT, "default": DEFAULT_LIMIT},
)
VERSION: Parameter[int] = Parameter(
    "version",
    natural,
    "Read this version of the table alone, published or not.",
    schema={"type": "integer", "minimum": 0},
)
