"""Bronze positions = silver positions, none missing, none twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import polars as pl

from lakehouse.extent import Extent
from loginlake.verify.ranges import POSITION, named_ranges
from loginlake.verify.report import Check, check
from loginlake.verify.scope import Scope

REBUILD = "Run `loginlake rebuild silver`: bronze keeps every record as it came"
RECOVER_BRONZE = (
    "Restore the lake from a copy that has these rows; or, while Kafka still holds them, read them into a new lake"
)
RESTORE_COMMIT = "Restore bronze's last commits from a copy of the lake: it would read these records a second time"


def position_checks(scope: Scope) -> Iterator[Check]:
    """What bronze and silver say of each other."""
    yield unique_check("bronze", scope.bronze, hint=RECOVER_BRONZE)
    yield unique_check("silver", scope.silver, hint=REBUILD)
    yield subset_check(
        "every bronze row that silver has read is in silver", scope.refined(), whole=scope.silver, hint=REBUILD
    )
    yield subset_check("every silver row is in bronze", scope.silver, whole=scope.bronze, hint=RECOVER_BRONZE)


def unique_check(layer: str, positions: pl.DataFrame, *, hint: str) -> Check:
    """No position stands twice."""
    repeated = positions.group_by(POSITION).len().filter(pl.col("len") > 1)
    return check(
        f"no position stands twice in {layer}",
        named_ranges(repeated, "twice"),
        checked=positions.height,
        count=repeated.height,
        hint=hint,
    )


def subset_check(claim: str, part: pl.DataFrame, *, whole: pl.DataFrame, hint: str) -> Check:
    """Every position of the part is in the whole."""
    missing = part.join(whole, on=POSITION, how="anti")
    return check(claim, named_ranges(missing, "missing"), checked=part.height, count=missing.height, hint=hint)


def ingest_check(extent: Extent, last_ingest: datetime | None) -> Check:
    """Bronze notes no earlier instant than that of its last batch: the order of instants settles who of two copies won.

    Args:
        extent: What its newest commit with rows notes.
        last_ingest: The largest ingest instant of its rows, UTC; None where it has none.
    """
    noted = extent.last_ingest
    is_earlier = last_ingest is not None and (noted is None or noted < last_ingest)
    faults = [f"{noted} in the commit, {last_ingest} in bronze"] if is_earlier else []
    return check(
        "the instant that bronze's newest commit notes is not before its rows", faults, checked=1, hint=RESTORE_COMMIT
    )


def extent_check(extent: Extent | None, bronze: pl.DataFrame) -> Check:
    """Bronze notes no less than it has read; it may note more, since not every offset of Kafka has a record.

    Args:
        extent: What its newest commit with rows notes, None where that notes nothing.
        bronze: Its positions.
    """
    claim = "the offsets that bronze's newest commit notes lie past its rows"
    if extent is None:
        return check(claim, (), checked=0, hint="", notes=["it notes none: they are computed from the rows"])
    lasts = bronze.group_by("topic", "partition").agg(pl.col("offset").max()).sort("topic", "partition")
    faults = (
        f"{topic}:{partition} {extent.offsets.get((topic, partition))} in the commit, {last} is in bronze"
        for topic, partition, last in lasts.iter_rows()
        if extent.offsets.get((topic, partition), 0) <= last
    )
    return check(claim, faults, checked=lasts.height, hint=RESTORE_COMMIT)
