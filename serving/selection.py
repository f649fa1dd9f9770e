"""Which rows of a frame a query selects, and in which order: filters, a period, an order, a limit."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias

import polars as pl

from lakehouse.clock import instant_text
from lakehouse.errors import BadQuery, name_hint
from lakehouse.tables.model import Column
from serving.parameters import (
    DEFAULT_LIMIT,
    FROM,
    LIMIT,
    TO,
    Parameter,
    QueryParams,
    at_time,
    parser_of,
    quoted,
    values_of,
)

NOT = "__ne"
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


@dataclass(frozen=True)
class Filter:
    """Selects the rows whose column has one of the values, or none of them; None stands for null."""

    column: str
    values: tuple[Any, ...]
    negated: bool = False

    def expression(self) -> pl.Expr:
        """Return a condition that is never null, since a null key is a key of its own."""
        values = [value for value in self.values if value is not None]
        found = pl.col(self.column).is_in(values).fill_null(value=False) if values else pl.lit(value=False)
        if len(values) < len(self.values):
            found = found | pl.col(self.column).is_null()
        return ~found if self.negated else found


@dataclass(frozen=True)
class Comparison:
    """Selects the rows whose column is less or greater than a value, by an operator of `COMPARISONS`; null is not."""

    column: str
    operator: str
    value: Any

    def expression(self) -> pl.Expr:
        """Return a condition that is never null."""
        condition: pl.Expr = COMPARISONS[self.operator](pl.col(self.column), pl.lit(self.value))
        return condition.fill_null(value=False)


@dataclass(frozen=True)
class Positions:
    """Selects the rows of Kafka positions: each has a topic, a partition and an offset."""

    positions: tuple[tuple[str, int, int], ...]

    def expression(self) -> pl.Expr:
        """Return a condition that is never null."""
        offsets: dict[tuple[str, int], list[int]] = {}
        for topic, partition, offset in self.positions:
            offsets.setdefault((topic, partition), []).append(offset)
        of_partition = [
            (pl.col("topic") == topic) & (pl.col("partition") == partition) & pl.col("offset").is_in(each)
            for (topic, partition), each in offsets.items()
        ]
        return pl.any_horizontal(pl.lit(value=False), *of_partition)


Condition: TypeAlias = Filter | Comparison | Positions


@dataclass(frozen=True)
class Order:
    """One column to sort by; nulls come last in both directions."""

    column: str
    descending: bool = False


@dataclass(frozen=True)
class Period:
    """A half-open period `[since, until)`; None is unbounded."""

    since: datetime | None = None
    until: datetime | None = None

    def days(self, on: str, *, window_days: int = 1) -> list[pl.Expr]:
        """Return conditions on the day column `on`: a partition column, so that polars skips whole files.

        Args:
            on: The column.
            window_days: The most days of a window; all days of a window that starts in the period are kept.
        """
        since = [] if self.since is None else [pl.col(on) >= self.since.date()]
        after = timedelta(days=window_days - 1)
        until = [] if self.until is None else [pl.col(on) <= min(self.until.date(), date.max - after) + after]
        return since + until

    def instants(self, at: str) -> list[pl.Expr]:
        """Return conditions on the instant column `at`."""
        since = [] if self.since is None else [pl.col(at) >= self.since]
        until = [] if self.until is None else [pl.col(at) < self.until]
        return since + until


ALWAYS = Period()


@dataclass(frozen=True)
class Selection:
    """Filters, order and limit for rows of any kind; a limit of None keeps all rows."""

    filters: tuple[Condition, ...] = ()
    order_by: tuple[Order, ...] = ()
    limit: int | None = DEFAULT_LIMIT

    def apply(self, rows: pl.LazyFrame, key: Sequence[str]) -> pl.LazyFrame:
        """Return the selected rows, sorted by `order_by` and then by the key: polars itself keeps no order."""
        ordered = [order.column for order in self.order_by]
        orders = [*self.order_by, *(Order(column) for column in key if column not in ordered)]
        selected = rows.filter(*(each.expression() for each in self.filters)).sort(
            [order.column for order in orders],
            descending=[order.descending for order in orders],
            nulls_last=True,
        )
        return selected if self.limit is None else selected.head(self.limit)


def filter_parameters(columns: Iterable[Column]) -> tuple[Parameter[Any], ...]:
    """Return two repeatable parameters per column: `name=` and `name__ne=`."""
    return tuple(
        parameter
        for column in columns
        if (parse := parser_of(column)) is not None
        for parameter in (
            _filter_parameter(
                column.name,
                parse,
                column=column,
                meaning=f"Only rows with this {column.name}; empty for rows without one.",
            ),
            _filter_parameter(
                f"{column.name}{NOT}", parse, column=column, meaning=f"Only rows with another {column.name}."
            ),
        )
    )


def order_parameter(columns: Iterable[Column]) -> Parameter[tuple[Order, ...]]:
    """Return the parameter `order_by`, such as `order_by=-attempts,src_ip`: `-` sorts the largest first."""
    names = [column.name for column in columns if isinstance(column.type, str) and column.type != "binary"]
    return Parameter(
        "order_by", _orders_parser(names), "Columns to sort by, comma-separated; - sorts descending. Nulls come last."
    )


def parse_selection(
    params: QueryParams, filterable: Sequence[Column], *, sortable: Sequence[Column], default: tuple[Order, ...]
) -> Selection:
    """Return the filters, the order and the limit of a query.

    Args:
        params: Checked query parameters.
        filterable: Columns that accept a filter.
        sortable: Columns accepted in order_by.
        default: The order if the query has none.

    Raises:
        BadQuery: A value is malformed, or order_by names an unknown column.
    """
    filters = tuple(
        Filter(parameter.name.removesuffix(NOT), values, negated=parameter.name.endswith(NOT))
        for parameter in filter_parameters(filterable)
        if (values := params.every(parameter))
    )
    order_by = params.one(order_parameter(sortable))
    return Selection(filters, default if order_by is None else order_by, params.one(LIMIT) or DEFAULT_LIMIT)


def parse_period(params: QueryParams, now: datetime) -> Period:
    """Return the period between `from` and `to`; ages are subtracted from `now`.

    Raises:
        BadQuery: The period is empty, or a time is malformed.
    """
    since, until = params.one(at_time(FROM, now)), params.one(at_time(TO, now))
    if since is not None and until is not None and since >= until:
        raise BadQuery(
            f"The period is empty: from ({instant_text(since)}) is not before to ({instant_text(until)})",
            hint="Set `from` to an earlier time than `to`",
        )
    return Period(since, until)


def _filter_parameter(name: str, parse: Callable[[str], Any], *, column: Column, meaning: str) -> Parameter[Any]:
    def parse_or_null(text: str) -> Any:
        return parse(text) if text else None

    values = values_of(column)
    allowed = {"enum": [*values, ""]} if values else {}
    return Parameter(name, parse_or_null, meaning, schema={"type": "string", **allowed}, repeatable=True)


def _orders_parser(names: Sequence[str]) -> Callable[[str], tuple[Order, ...]]:
    def parse(text: str) -> tuple[Order, ...]:
        orders = tuple(Order(word.removeprefix("-"), word.startswith("-")) for word in text.split(","))
        for order in orders:
            if order.column not in names:
                raise BadQuery(f"{quoted(order.column)} is not a sortable column", hint=name_hint(order.column, names))
        if len({order.column for order in orders}) < len(orders):
            raise BadQuery(f"{quoted(text)} names a column twice", hint="Name each column once")
        return orders

    return parse
