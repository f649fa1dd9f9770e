"""What detections report about their evidence: sums of occurrences and numbers of distinct values."""

from __future__ import annotations

import polars as pl

OCCURRENCES = pl.col("times").sum()
SUCCESSES = pl.col("times").filter(pl.col("outcome") == "success").sum()
FAILURES = pl.col("times").filter(pl.col("outcome") == "failure").sum()
PROBES = pl.col("times").filter(pl.col("action") == "probe").sum()


def distinct(column: str) -> pl.Expr:
    """Return the number of distinct values of a column; null is not a value."""
    return pl.col(column).drop_nulls().n_unique()
