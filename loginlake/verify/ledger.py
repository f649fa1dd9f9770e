"""Bronze against a producer's ledger: every record that the broker acknowledged is in bronze."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from lakehouse.errors import UsageError
from lakehouse.progress import is_below
from lakehouse.tables.bronze import POSITION
from loginlake.verify.kafka_reader import bounds_of
from loginlake.verify.pinned import PinnedLake
from loginlake.verify.ranges import POSITION_SCHEMA, ranges_of, without
from loginlake.verify.report import Check, check

ACKNOWLEDGED_CLAIM = "bronze has every record that the ledger lists as acknowledged"
HINT = (
    "Read the topic into a new lake while Kafka still has these records, or send them again: "
    "a record that is sent twice is counted once"
)


def acked_positions(ledger: Path) -> pl.DataFrame:
    """Return the positions in a ledger written by `produce --ledger`; an incomplete last line is left out.

    Raises:
        UsageError: The file can't be read, or is not a ledger.
    """
    try:
        content = ledger.read_bytes()
        complete = content[: content.rfind(b"\n") + 1]
        if not complete:
            return pl.DataFrame(schema=POSITION_SCHEMA)
        return pl.read_ndjson(complete, schema=POSITION_SCHEMA)
    except OSError as error:
        raise UsageError(
            f"The ledger {ledger} can't be read ({error.strerror})", hint="Check the path and its permissions"
        ) from error
    except pl.exceptions.PolarsError as error:
        raise UsageError(f"{ledger} is not a ledger", hint="Name a file written by `produce --ledger`") from error


def ledger_checks(lake: PinnedLake) -> Iterator[Check]:
    """Check that every acknowledged record is in bronze, or still unread in Kafka past bronze's last offset."""
    acked = lake.options.acked
    if acked is None:
        return
    within = acked if lake.end_offsets is None else acked.filter(is_below(lake.end_offsets, pl.col))
    absent = within.join(lake.bronze_positions, on=POSITION, how="anti")
    pending = _pending(absent, lake) if lake.is_current else absent.clear()
    lost = without(ranges_of(absent.join(pending, on=POSITION, how="anti")), lake.options.accepted)
    yield check(
        ACKNOWLEDGED_CLAIM,
        [f"{each} acknowledged, but not in bronze" for each in lost],
        checked=within.height,
        count=sum(each.offsets for each in lost),
        hint=HINT,
        notes=[f"{pending.height:,} records are in Kafka and not read yet"] if pending.height else [],
    )


def _pending(absent: pl.DataFrame, lake: PinnedLake) -> pl.DataFrame:
    """Return the positions past bronze's last one that the broker has, and has not deleted."""
    bounds = bounds_of(lake.topics or {})
    beginnings, ends = ({at: getattr(bound, side) for at, bound in bounds.items()} for side in ("beginning", "end"))
    lasts = lake.bronze_positions.group_by("topic", "partition").agg(last=pl.col("offset").max())
    beyond = absent.join(lasts, on=["topic", "partition"], how="left").filter(
        pl.col("last").is_null() | (pl.col("offset") > pl.col("last"))
    )
    return beyond.filter(is_below(ends, pl.col) & ~is_below(beginnings, pl.col)).select(POSITION)
