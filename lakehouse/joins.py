"""Joins by key in which null equals null: an event without a user has a key too."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)


def semi_join(rows: DataFrame, keys: DataFrame, *, on: Sequence[str]) -> DataFrame:
    """Return the rows whose key is among the keys; null equals null."""
    return _null_safe_join(rows, keys, on=on, how="left_semi")


def anti_join(rows: DataFrame, keys: DataFrame, *, on: Sequence[str]) -> DataFrame:
    """Return the rows whose key is not among the keys; null equals null."""
    return _null_safe_join(rows, keys, on=on, how="left_anti")


def _null_safe_join(rows: DataFrame, keys: DataFrame, *, on: Sequence[str], how: str) -> DataFrame:
    renamed = keys.select(*(F.col(name).alias(f"key_{name}") for name in on))
    return rows.join(renamed, [F.col(f"key_{name}").eqNullSafe(F.col(name)) for name in on], how)
