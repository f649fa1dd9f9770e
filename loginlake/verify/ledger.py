"""The producer's ledger against bronze: what the broker acknowledged is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from lakehouse.errors import UsageError
from lakehouse.offsets import Offsets
from loginlake.verify.broker import Topic, bounds_of
from loginlake.verify.ranges import POSITION, named_ranges
from loginlake.verify.report import Check, check
from loginlake.verify.scope import POSITION_SCHEMA
from serving.store import below

HINT = "Read the topic into a new lake while Kafka still has these records, or send them again: copies do no harm"


def acked_positions(ledger: Path) -> pl.DataFrame:
    """The positions that a ledger of `produce --ledger` names; a last line that was not written whole is left out.

    Raises:
        UsageError: The file can't be read, or is no ledger.
    """
    try:
        lines = ledger.read_bytes()
        whole = lines[: lines.rfind(b"\n") + 1]
        return pl.read_ndjson(whole, schema=POSITION_SCHEMA) if whole else pl.DataFrame(schema=POSITION_SCHEMA)
    except OSError as error:
        raise UsageError(f"{ledger} can't be read ({error.strerror})", hint="Name another file") from error
    except pl.exceptions.PolarsError as error:
        raise UsageError(f"{ledger} is no ledger", hint="Name a file that `produce --ledger` has written") from error


def ledger_check(
    acked: pl.DataFrame, bronze: pl.DataFrame, *, topics: Mapping[str, Topic] | None, bounds: Offsets | None
) -> Check:
    """Every acknowledged record is in bronze, or still to be read: in Kafka, past bronze's last.

    Args:
        acked: Positions of the ledger.
        bronze: Positions of bronze.
        topics: What the broker has; None without one, and then all must be in bronze.
        bounds: Next offsets that bronze is checked up to; None for all.
    """
    within = acked if bounds is None else acked.filter(below(bounds))
    absent = within.join(bronze, on=POSITION, how="anti")
    pending = _pending(absent, bronze, topics=topics or {}) if bounds is None else absent.clear()
    lost = absent.join(pending, on=POSITION, how="anti")
    return check(
        "every acknowledged record of the ledger is in bronze",
        named_ranges(lost, "acknowledged, not in bronze"),
        checked=within.height,
        count=lost.height,
        hint=HINT,
        notes=[f"{pending.height:,} are in Kafka and not read yet"] if pending.height else [],
    )


def _pending(absent: pl.DataFrame, bronze: pl.DataFrame, *, topics: Mapping[str, Topic]) -> pl.DataFrame:
    """Those past bronze's last that the broker has."""
    ends = {at: bound.end for at, bound in bounds_of(topics).items()}
    lasts = bronze.group_by("topic", "partition").agg(last=pl.col("offset").max())
    beyond = absent.join(lasts, on=["topic", "partition"], how="left").filter(
        pl.col("last").is_null() | (pl.col("offset") > pl.col("last"))
    )
    return beyond.filter(below(ends)).select(POSITION)
