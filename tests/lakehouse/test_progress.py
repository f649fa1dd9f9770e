"""How far a table has been read: offsets as JSON, the predicate, and the notes of commits."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.progress import (
    BronzeProgress,
    Commit,
    CommitNote,
    SilverProgress,
    furthest,
    is_below,
    nested_offsets,
    newest_note,
    note_from_json,
    offsets_from_json,
    offsets_to_json,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
BRONZE = BronzeProgress({("logs", 0): 12, ("logs", 10): 3}, NOON)
SILVER = SilverProgress({("logs", 0): 12, ("logs", 10): 3}, NOON.date(), {"iptocc": "1"})

partitions = st.tuples(st.text(min_size=1, max_size=9), st.integers(0, 2**31 - 1))
offsets = st.dictionaries(partitions, st.integers(0, 2**63 - 1), max_size=9)


def test_offsets_are_written_in_the_form_that_spark_takes() -> None:
    written = offsets_to_json({("logs", 1): 5, ("audit", 0): 0, ("logs", 0): 12})

    assert written == '{"audit":{"0":0},"logs":{"0":12,"1":5}}'


def test_offsets_nest_by_topic_and_partition() -> None:
    assert nested_offsets({("logs", 10): 3, ("logs", 2): 4}) == {"logs": {2: 4, 10: 3}}


@given(offsets)
def test_offsets_are_read_as_they_were_written(written: dict[tuple[str, int], int]) -> None:
    assert offsets_from_json(offsets_to_json(written)) == written


def test_the_furthest_offset_is_the_larger_of_each_partition() -> None:
    first = {("logs", 0): 5, ("logs", 1): 1}
    second = {("logs", 0): 3, ("logs", 1): 2, ("logs", 2): 7}

    assert furthest(first, second) == {("logs", 0): 5, ("logs", 1): 2, ("logs", 2): 7}
    assert furthest({}, {}) == {}


small_positions = st.tuples(st.sampled_from(["logs", "audit"]), st.integers(0, 2), st.integers(0, 3))


@settings(deadline=None)  # a busy machine is not slow code
@given(
    st.lists(small_positions, max_size=9),
    st.dictionaries(st.tuples(st.sampled_from(["logs", "audit"]), st.integers(0, 2)), st.integers(0, 4)),
)
def test_positions_below_the_offsets_are_those_that_a_loop_finds(
    positions: list[tuple[str, int, int]], read: dict[tuple[str, int], int]
) -> None:
    rows = pl.DataFrame(positions, schema=["topic", "partition", "offset"], orient="row")
    rows = rows.cast({"topic": pl.String, "partition": pl.Int32, "offset": pl.Int64})

    below = rows.filter(is_below(read, pl.col)).rows()

    assert below == [(topic, at, offset) for topic, at, offset in positions if offset < read.get((topic, at), 0)]


def test_a_thousand_partitions_make_a_predicate_that_polars_runs() -> None:
    rows = pl.DataFrame({"topic": "logs", "partition": range(1_000), "offset": 5})

    below = rows.filter(is_below({("logs", number): number for number in range(1_000)}, pl.col))

    assert below["partition"].to_list() == list(range(6, 1_000))


@pytest.mark.parametrize("last_ingest", [None, NOON])
def test_the_progress_of_bronze_is_read_as_its_commit_notes_it(last_ingest: datetime | None) -> None:
    progress = BronzeProgress(BRONZE.offsets if last_ingest else {}, last_ingest)

    note = note_from_json(progress.to_json())

    assert note is not None
    assert note.bronze_progress == progress


@pytest.mark.parametrize("ingested_on", [None, date(2026, 3, 2)])
def test_the_progress_of_silver_is_read_as_its_commit_notes_it(ingested_on: date | None) -> None:
    progress = SilverProgress(SILVER.offsets if ingested_on else {}, ingested_on, {"iptocc": "1"})

    note = note_from_json(progress.to_json())

    assert note is not None
    assert note.silver_progress == progress


def test_a_note_is_the_json_that_earlier_releases_have_written() -> None:
    nested = {"logs": {"0": 12, "10": 3}}

    assert json.loads(BRONZE.to_json()) == {"offsets": nested, "last_ingest": "2026-03-02T12:00:00Z"}
    assert json.loads(SILVER.to_json()) == {
        "offsets": nested,
        "ingested_on": "2026-03-02",
        "enrichment": {"iptocc": "1"},
    }


@pytest.mark.parametrize(
    "text",
    [
        None,
        "{}",
        "compacted by hand",
        '{"offsets": {"logs": {"0": "many"}}, "ingested_on": null, "enrichment": {}}',
        '{"offsets": {"logs": {"0": 12}}, "ingested_on": "2026-13-02", "enrichment": {}}',
        '{"offsets": {"logs": {"0": 12}}, "last_ingest": "2026-03-02T12:00:00"}',
    ],
)
def test_another_text_is_not_a_note(text: str | None) -> None:
    assert note_from_json(text) is None


def test_a_note_with_offsets_and_without_its_instant_or_day_notes_no_progress() -> None:
    note = CommitNote({"logs": {0: 12}})

    assert note.bronze_progress is None
    assert note.silver_progress is None


def test_commits_without_rows_are_passed_over() -> None:
    without_rows = [Commit(operation, None) for operation in ("OPTIMIZE", "ADD COLUMNS", "SET TBLPROPERTIES")]

    note = newest_note([*without_rows, Commit("WRITE", BRONZE.to_json()), Commit("WRITE", "{}")])

    assert note is not None
    assert note.bronze_progress == BRONZE


@pytest.mark.parametrize("newest", [Commit("WRITE", None), Commit("MERGE", "by hand"), Commit(None, None)])
def test_a_newest_commit_with_rows_and_without_a_note_leaves_progress_to_the_rows(newest: Commit) -> None:
    assert newest_note([newest, Commit("WRITE", BRONZE.to_json())]) is None


def test_a_table_without_rows_has_been_read_nowhere() -> None:
    note = newest_note([Commit("CREATE TABLE", None)])

    assert note is not None
    assert note.bronze_progress == BronzeProgress({}, None)
    assert note.silver_progress == SilverProgress({}, None)
