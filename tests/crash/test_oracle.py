"""Tests of the oracle itself: it finds lost, duplicated and invented rows."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake

from lakehouse.settings import Settings
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.silver import EVENTS
from tests.crash.oracle import TYPES, PositionCounts, acknowledged, count_positions

COMPLETE = PositionCounts(
    acknowledged=3, missing_in_bronze=0, duplicated=0, gaps=0, missing_in_silver=0, only_in_silver=0
)


def positions(*offsets: int) -> pl.DataFrame:
    return pl.DataFrame([("logs", 0, offset) for offset in offsets], schema=TYPES, orient="row")


def counts(folder: Path, *, bronze: tuple[int, ...], silver: tuple[int, ...]) -> PositionCounts:
    """Return the counts of a lake with these offsets; 0, 1 and 2 are acknowledged."""
    settings = Settings(root=str(folder), _env_file=None)
    for table, offsets in ((RAW_LOGS, bronze), (EVENTS, silver)):
        write_deltalake(settings.table_uri(table.layer, table.name), positions(*offsets))
    return count_positions(settings, positions(0, 1, 2))


def test_a_lake_with_every_position_once_is_complete(tmp_path: Path) -> None:
    found = counts(tmp_path, bronze=(0, 1, 2), silver=(0, 1, 2))

    assert found == COMPLETE
    assert found.is_complete


def test_a_lake_with_unread_positions_is_sound_but_not_complete(tmp_path: Path) -> None:
    found = counts(tmp_path, bronze=(0, 1), silver=(0,))

    assert (found.missing_in_bronze, found.missing_in_silver) == (1, 1)
    assert found.is_sound
    assert not found.is_complete


@pytest.mark.parametrize(
    ("bronze", "silver", "fault"),
    [
        ((0, 1, 1, 2), (0, 1, 2), "duplicated"),
        ((0, 1, 2), (0, 1, 2, 2), "duplicated"),
        ((0, 2), (0, 2), "gaps"),
        ((0, 1, 2), (0, 1, 2, 3), "only_in_silver"),
    ],
)
def test_a_fault_is_counted(tmp_path: Path, bronze: tuple[int, ...], silver: tuple[int, ...], fault: str) -> None:
    found = counts(tmp_path, bronze=bronze, silver=silver)

    assert getattr(found, fault) > 0
    assert not found.is_sound


def test_an_incomplete_last_line_of_a_ledger_is_not_counted(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.ndjson"
    entry = {"topic": "logs", "partition": 0, "offset": 5, "event_id": None, "key": "ann"}
    ledger.write_text(json.dumps(entry) + "\n" + json.dumps(entry | {"offset": 6})[:-3])

    assert acknowledged(ledger, tmp_path / "none.ndjson").equals(positions(5))
