"""Which rows of a frame are wanted, and in which order: filters, a period, an order, a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from lakehouse.errors import BadQuery
from lakehouse.tables.model import Column
from serving.parameters import DEFAULT_LIMIT, FROM, LIMIT, TO, Given, Parameter
from serving.values import parser_of, shortened

NOT = "__ne"


@dataclass(frozen=True)
class Filter:
    """Keeps the rows whose column has one of the values, or none of them; None stands for null."""

    column: str
    values: tuple[Any, ...]
    negated: bool = False

    def expression(self) -> pl.Expr:
        """True for the rows to keep; never null, since a null key is a key of its own."""
        values = [value for value in self.values if value is not None]
        held = pl.col(self.column).is_in(values).fill_null(value=False) if values else pl.lit(value=False)
        if len(values) < len(self.values):
            held = held | pl.col(self.column).is_null()
        return ~held if self.negated else held


@dataclass(frozen=True)
class Order:
    """One column to sort by; nulls come last either way."""

    column: str
    descending: bool = False


@dataclass(frozen=True)
class Period:
    """Half-open: from `since` up to but without `until`; None is unbounded."""

    since: datetime | None = None
    until: datetime | None = None

    def days(self, on: str) -> list[pl.Expr]:
        """True for rows whose day `on` is touched; it is a partition, so whole files are skipped."""
        since = [] if self.since is None else [pl.col(on) >= self.since.date()]
        until = [] if self.until is None else [pl.col(on) <= self.until.date()]
        return since + until

    def instants(self, at: str) -> list[pl.Expr]:
        """True for rows whose instant `at` lies in the period."""
        since = [] if self.since is None else [pl.col(at) >= self.since]
        until = [] if self.until is None else [pl.col(at) < self.until]
        return since + until


ALWAYS = Period()


@dataclass(frozen=True)
class Selection:
    """Filters, order and limit over rows of any kind; no limit is None."""

    filters: tuple[Filter, ...] = ()
    order_by: tuple[Order, ...] = ()
    limit: int | None = DEFAULT_LIMIT

    def of(self, rows: pl.LazyFrame, key: Sequence[str]) -> pl.LazyFrame:
        """The selected rows in a total order: by `order_by`, then by the key, since polars keeps no order itself."""
        ordered = [order.column for order in self.order_by]
        rest = [Order(column) for column in key if column not in ordered]
        orders = [*self.order_by, *rest]
        kept = rows.filter(*(wanted.expression() for wanted in self.filters)).sort(
            [order.column for order in orders],
            descending=[order.descending for order in orders],
            nulls_last=True,
        )
        return kept if self.limit is None else kept.head(self.limit)


def filter_parameters(columns: Iterable[Column]) -> tuple[Parameter[Any], ...]:
    """Two parameters per column: `name=` and `name__ne=`, both repeatable."""
    return tuple(
        parameter
        for column in columns
        if parser_of(column) is not None
        for parameter in (
            _filter_parameter(column, "", meaning=f"Only rows with this {column.name}; empty for rows without one."),
            _filter_parameter(column, NOT, meaning=f"Only rows with another {column.name}."),
        )
    )


def order_parameter(columns: Iterable[Column]) -> Parameter[tuple[Order, ...]]:
    """`order_by=-attempts,src_ip`: columns to sort by, `-` for the largest first."""
    names = [column.name for column in columns if parser_of(column) is not None]
    return Parameter(
        "order_by", _orders(names), "Columns to sort by, comma-separated; - puts the largest first. Nulls come last."
    )


def selection(
    asked: Given, filtered: Sequence[Column], *, ordered: Sequence[Column], default: tuple[Order, ...]
) -> Selection:
    """The filters, order and limit that were asked for.

    Args:
        asked: What was asked.
        filtered: Columns with a filter.
        ordered: Columns to sort by.
        default: The order where none was asked for.

    Raises:
        BadQuery: A value can't be read, or a column to sort by is not there.
    """
    filters = tuple(
        Filter(parameter.name.removesuffix(NOT), values, negated=parameter.name.endswith(NOT))
        for parameter in filter_parameters(filtered)
        if (values := asked.each(parameter))
    )
    order_by = asked.one(order_parameter(ordered))
    return Selection(filters, default if order_by is None else order_by, asked.one(LIMIT) or DEFAULT_LIMIT)


def period(asked: Given, clock: datetime) -> Period:
    """The period between `from` and `to`.

    Args:
        asked: What was asked.
        clock: Now, for moments that are relative to it.

    Raises:
        BadQuery: It is empty, or a moment can't be read.
    """
    since, until = _instant(asked.one(FROM), clock), _instant(asked.one(TO), clock)
    if since is not None and until is not None and since >= until:
        raise BadQuery(f"from ({since.isoformat()}) is not before to ({until.isoformat()})", hint="Swap or widen them")
    return Period(since, until)


def _filter_parameter(column: Column, suffix: str, *, meaning: str) -> Parameter[Any]:
    parse = parser_of(column)
    if parse is None:
        raise TypeError(f"{column.name} has no values to compare with")

    def parse_or_null(text: str) -> Any:
        return parse(text) if text else None

    return Parameter(f"{column.name}{suffix}", parse_or_null, meaning, repeatable=True)


def _orders(names: Sequence[str]) -> Callable[[str], tuple[Order, ...]]:
    def parse(text: str) -> tuple[Order, ...]:
        orders = tuple(Order(word.removeprefix("-"), word.startswith("-")) for word in text.split(","))
        for order in orders:
            if order.column not in names:
                raise BadQuery(f"{shortened(order.column)} is no column here", hint=f"Use {', '.join(names)}")
        if len({order.column for order in orders}) < len(orders):
            raise BadQuery(f"{shortened(text)} names a column twice", hint="Name each once")
        return orders

    return parse


def _instant(asked: datetime | timedelta | None, clock: datetime) -> datetime | None:
    if not isinstance(asked, timedelta):
        return asked
    try:
        return clock - asked
    except OverflowError as error:
        raise BadQuery("That is before the year 1", hint="Write one such as -7d") from error
