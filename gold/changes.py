"""What silver rows span in time, and which of them gold looks at."""

from __future__ import annotations

from datetime import MAXYEAR, MINYEAR, date, datetime
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.transforms.metrics import COUNTED_ACTIONS


class ChangeSummary(NamedTuple):
    """What silver rows span in time.

    Attributes:
        first_event_at: The least event time of an accepted row.
        last_event_at: The largest one.
        last_append_at: The largest append time of any row; one that no calendar holds is passed over.
        counted_on: The event days of the accepted rows that the metrics count.
        suspected_on: The event days of the accepted rows that a rule looks at.
    """

    first_event_at: datetime | None
    last_event_at: datetime | None
    last_append_at: datetime | None
    counted_on: list[date]
    suspected_on: list[date]


def summarize(events: DataFrame) -> ChangeSummary:
    """The span of silver rows, in one pass."""
    is_accepted = F.col("verdict") == "accepted"
    event_at = F.when(is_accepted, F.col("event_at"))
    ends = {
        "first_event_at": F.min(event_at),
        "last_event_at": F.max(event_at),
        # Of a topic that we did not create it is what the producer says.
        "last_append_at": F.max(F.when(F.year("appended_at").between(MINYEAR, MAXYEAR), F.col("appended_at"))),
        "counted_on": F.collect_set(F.when(is_accepted & is_counted(), F.col("event_on"))),
        "suspected_on": F.collect_set(F.when(is_accepted & is_suspect(), F.col("event_on"))),
    }
    (span,) = events.agg(*(end.alias(name) for name, end in ends.items())).toArrow().to_pylist()
    return ChangeSummary(**span)


def is_counted() -> Column:
    """True for events that the metrics count."""
    return F.col("action").isin(*COUNTED_ACTIONS)


def is_suspect() -> Column:
    """True for events that may make a rule judge otherwise."""
    return (F.col("outcome") == "failure") & F.col("src_ip").isNotNull()
