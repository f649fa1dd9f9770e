"""Which events rules must look at: most entities have too few events, or too equal ones, for any rule to fire."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import attrgetter, or_

import polars as pl

from gold.rules.model import EVENT_COLUMNS, Rule


def candidates(rows: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """Return the rows on which one of the rules may fire.

    A rule may fire on the events of an entity if it looks at the entity, if there are enough of them, and if they
    differ where they must; a rule that follows others, if one of these may fire. Where a rule may not, its column is
    false.

    Args:
        rows: Rows as `rows_read` returns them, with `entity`.
        rules: Rules of one entity column.
    """
    names = [rule.name for rule in rules]
    read = rows.filter(pl.any_horizontal(names))
    may_fire = [pl.col(name) & pl.col(f"{name}_may_fire") for name in names]
    marked = read.join(_entities(read, rules), on="entity").with_columns(may_fire)
    return marked.filter(pl.any_horizontal(names)).select(*EVENT_COLUMNS, "entity", *names)


def _entities(read: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """Return for each entity, as a column per rule, whether the rule may fire for it."""
    entities = read.group_by("entity").agg(_may_fire(rule).alias(f"{rule.name}_may_fire") for rule in rules)
    for rule in sorted(rules, key=attrgetter("follows")):
        name = f"{rule.name}_may_fire"
        if rule.follows:
            followed = [f"{other.name}_may_fire" for other in rules if other.name in rule.follows]
            entities = entities.with_columns(pl.col(name) & pl.any_horizontal(pl.lit(value=False), *followed))
        if ignored := [value for value in entities.filter(name)["entity"] if not rule.looks_at(value)]:
            entities = entities.with_columns(pl.col(name) & ~pl.col("entity").is_in(ignored))
    return entities


def _may_fire(rule: Rule) -> pl.Expr:
    """Return whether the rule may fire on the events of a group."""
    is_counted = pl.col(rule.name) & rule.is_counted
    is_frequent = pl.when(is_counted).then("times").otherwise(0).sum() >= rule.min_occurrences
    if not rule.differs_in:
        return is_frequent
    # Null is a value too: a rule may tell it from others.
    values = (pl.when(rule.name).then(pl.col(column).fill_null("")) for column in rule.differs_in)
    return is_frequent & reduce(or_, ((each.min() < each.max()).fill_null(value=False) for each in values))
