"""Where the stream starts in a partition, and its clock: decisions without Spark and without a broker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
import structlog

from bronze.start import starting_offset
from bronze.stream import Ingest, files_for
from lakehouse.errors import ClockWentBack, TopicChanged
from lakehouse.kafka import Bounds
from lakehouse.lake import Lake
from lakehouse.progress import BronzeProgress

AT = ("logs", 0)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("read", "bounds", "start"),
    [
        (None, Bounds(0, 0), 0),
        (None, Bounds(0, 9), 0),
        (4, Bounds(0, 9), 4),
        (4, Bounds(4, 4), 4),
        (9, Bounds(0, 9), 9),
    ],
)
def test_a_partition_is_read_after_the_last_row_of_bronze(read: int | None, bounds: Bounds, start: int) -> None:
    with structlog.testing.capture_logs() as logs:
        assert starting_offset(AT, read, bounds=bounds) == start
    assert logs == []


def test_a_new_partition_whose_first_records_are_deleted_starts_later_with_a_warning() -> None:
    with structlog.testing.capture_logs() as logs:
        assert starting_offset(AT, None, bounds=Bounds(7, 9)) == 7

    assert [(event["event"], event["offset"]) for event in logs] == [("partition_start_truncated", 7)]


def test_records_that_the_broker_deleted_unread_are_an_error_with_their_range() -> None:
    with pytest.raises(TopicChanged, match="deleted offsets 1 to 2 of logs:0 that bronze lacks") as error:
        starting_offset(AT, 1, bounds=Bounds(3, 4))

    assert error.value.parts["lost"] == (1, 3)


def test_a_broker_with_fewer_records_than_bronze_is_an_error_with_a_hint_to_restore_it() -> None:
    with pytest.raises(TopicChanged, match=r"logs:0 ends at offset 2, but bronze has read up to 7\..*restore its data"):
        starting_offset(AT, 7, bounds=Bounds(0, 2))


def ingest_at(now: datetime, *, last_ingest: datetime | None) -> Ingest:
    values: dict[str, Any] = {"starting": {}, "clock": lambda: now, "topic_id": "id"}
    return Ingest(cast("Lake", None), progress=BronzeProgress({}, last_ingest), **values)


@pytest.mark.parametrize("last_ingest", [None, NOON - timedelta(microseconds=1)])
def test_a_batch_gets_an_instant_that_is_later_than_the_last_one(last_ingest: datetime | None) -> None:
    assert ingest_at(NOON, last_ingest=last_ingest).checked_now() == NOON


@pytest.mark.parametrize("now", [NOON, NOON - timedelta(hours=1)])
def test_a_clock_that_is_not_later_than_the_last_batch_is_an_error(now: datetime) -> None:
    newest = r"newest batch is from 2026-03-02T12:00:00Z\. Correct the clock"
    with pytest.raises(ClockWentBack, match=newest):
        ingest_at(now, last_ingest=NOON).checked_now()


@pytest.mark.parametrize(("records", "files"), [(0, 1), (1, 1), (100_000, 1), (100_001, 2), (2_000_000, 20)])
def test_a_small_batch_is_one_file(records: int, files: int) -> None:
    assert files_for(records) == files
