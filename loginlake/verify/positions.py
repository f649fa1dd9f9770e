"""Bronze positions = silver positions, none missing, none twice."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from loginlake.verify.ranges import POSITION, named_ranges
from loginlake.verify.report import Check, judged
from loginlake.verify.scope import Scope

REBUILD = "Run `loginlake rebuild silver`: bronze keeps every record as it came"
RECOVER_BRONZE = (
    "Restore the lake from a copy that has these rows; or, while Kafka still holds them, read them into a new lake"
)


def position_checks(scope: Scope) -> Iterator[Check]:
    """What bronze and silver say of each other."""
    yield unique_check("bronze", scope.bronze, mend=RECOVER_BRONZE)
    yield unique_check("silver", scope.silver, mend=REBUILD)
    yield subset_check("every bronze row that silver has read is in silver", scope.refined(), scope.silver, REBUILD)
    yield subset_check("every silver row is in bronze", scope.silver, scope.bronze, RECOVER_BRONZE)


def unique_check(layer: str, positions: pl.DataFrame, *, mend: str) -> Check:
    """No position stands twice."""
    repeated = positions.group_by(POSITION).len().filter(pl.col("len") > 1)
    return judged(
        f"no position stands twice in {layer}",
        named_ranges(repeated, "twice"),
        checked=positions.height,
        count=repeated.height,
        mend=mend,
    )


def subset_check(claim: str, part: pl.DataFrame, whole: pl.DataFrame, /, mend: str) -> Check:
    """Every position of the part is in the whole."""
    missing = part.join(whole, on=POSITION, how="anti")
    return judged(claim, named_ranges(missing, "missing"), checked=part.height, count=missing.height, mend=mend)
