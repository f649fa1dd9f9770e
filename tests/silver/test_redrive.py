"""Redrive: broken rows get the result of today's decoders, and each event is accepted once."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.publish import last_snapshot
from lakehouse.errors import LockHeld
from lakehouse.lake import Lake
from lakehouse.locks import writer_lock
from lakehouse.progress import read_silver_progress
from lakehouse.tables.metrics import IP_ACTIVITY, PAIR_ACTIVITY
from lakehouse.tables.silver import EVENTS
from loginlake.pipeline import redrive, refresh
from silver.job import update_silver
from silver.redrive import Redriven, preview_redrive, redrive_events
from tests.spark_lakes import a_raw, a_raw_login, append_batch, copied, faults_of_recomputation, rows_of

# More than a day before the append time of every batch: implausible as long as max_event_age_days is 1.
OLD = "2026-01-20T10:00:00Z"


def strict(lake: Lake) -> Lake:
    """Return the lake with settings by which an event of the day before yesterday is implausible."""
    return lake.with_settings(max_event_age_days=1)


def an_old_login(offset: int, partition: int = 0, **fields: Any) -> dict[str, Any]:
    return a_raw_login(offset, partition, **{"event_at": OLD} | fields)


def verdicts(lake: Lake) -> dict[tuple[int, int], tuple[str, str | None]]:
    return {(row["partition"], row["offset"]): (row["verdict"], row["reason"]) for row in rows_of(lake, EVENTS)}


@pytest.fixture(scope="module")
def undecoded(spark: SparkSession, created: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a lake with two old logins that are broken, the second a copy of the first, and other rows."""
    lake = copied(spark, created, tmp_path_factory.mktemp("undecoded"))
    copy = an_old_login(1, event_id="e0-0")
    others = [a_raw_login(2), a_raw(3, value=b"?"), a_raw(4, value=b'{"action":"paid"}')]
    append_batch(lake, [an_old_login(0), copy, *others])
    update_silver(strict(lake))
    return Path(lake.settings.root)


@pytest.fixture
def undecoded_lake(spark: SparkSession, undecoded: Path, tmp_path: Path) -> Lake:
    """A copy of it."""
    return copied(spark, undecoded, tmp_path)


def test_rows_that_decode_now_get_their_verdict_and_the_others_stay_broken(undecoded_lake: Lake) -> None:
    lake = undecoded_lake
    assert verdicts(lake)[0, 0] == ("broken", "implausible_time")

    found = redrive_events(lake)

    assert found == Redriven(
        attempted=3, decoded={"accepted": 1, "duplicate": 1}, still_broken={"not_json": 1}, reassigned=0, written=2
    )
    assert verdicts(lake) == {
        (0, 0): ("accepted", None),
        (0, 1): ("duplicate", None),
        (0, 2): ("accepted", None),
        (0, 3): ("broken", "not_json"),
        (0, 4): ("ignored", "not_a_login"),
    }
    version = lake.version(EVENTS)

    again = redrive_events(lake)

    assert again == Redriven(attempted=1, decoded={}, still_broken={"not_json": 1}, reassigned=0, written=0)
    assert lake.version(EVENTS) == version


def test_a_dry_run_reports_the_same_and_writes_nothing(undecoded_lake: Lake) -> None:
    version = undecoded_lake.version(EVENTS)

    previewed = preview_redrive(undecoded_lake)

    assert undecoded_lake.version(EVENTS) == version
    assert previewed == redrive_events(undecoded_lake)


def test_only_rows_of_the_requested_reason_are_decoded(undecoded_lake: Lake) -> None:
    assert redrive_events(undecoded_lake, reason="not_json").attempted == 1
    assert verdicts(undecoded_lake)[0, 0] == ("broken", "implausible_time")
    assert preview_redrive(undecoded_lake, reason="implausible_time").decoded == {"accepted": 1, "duplicate": 1}


def test_a_row_that_is_broken_for_another_reason_now_gets_that_reason(lake: Lake) -> None:
    append_batch(lake, [a_raw(0, value=b"?")])
    update_silver(lake)

    found = redrive_events(lake.with_settings(default_format="sshd"))

    assert (found.still_broken, found.written) == ({"not_syslog": 1}, 1)
    (row,) = rows_of(lake, EVENTS)
    assert (row["verdict"], row["reason"], row["format"]) == ("broken", "not_syslog", "sshd")


def test_the_first_copy_to_reach_bronze_wins_even_if_it_decodes_last(lake: Lake, tmp_path: Any) -> None:
    # The same event on the same day: the first copy is too old by its own stamp, later ones are not.
    strictly = strict(lake)
    in_one_run = lake.with_settings(root=str(tmp_path / "other"))
    first = an_old_login(0, event_id="same", event_at="2026-01-31T00:00:00Z", username="first")
    others = [
        a_raw_login(1, event_id="same", event_at="2026-01-31T23:59:00Z", username="second"),
        a_raw_login(0, partition=1, event_id="same", event_at="2026-01-31T23:59:00Z", username="third"),
    ]
    for each in (lake, in_one_run):
        append_batch(each, [first])
        append_batch(each, others, number=1)
    update_silver(strictly)
    assert verdicts(lake)[0, 1] == ("accepted", None)

    found = redrive_events(lake)

    assert found == Redriven(attempted=1, decoded={"accepted": 1}, still_broken={}, reassigned=2, written=3)
    update_silver(in_one_run)
    assert rows_of(lake, EVENTS) == rows_of(in_one_run, EVENTS)


def test_progress_is_the_same_after_a_redrive(lake: Lake) -> None:
    append_batch(lake, [an_old_login(0), a_raw_login(1, partition=1)])
    update_silver(strict(lake))
    before = read_silver_progress(lake)
    redrive_events(lake)

    # A MERGE writes no commit note, so progress is computed from the rows.
    assert read_silver_progress(lake).offsets == before.offsets
    append_batch(lake, [a_raw_login(2, event_id="e0-0", event_at=OLD)], number=1)
    assert update_silver(lake) == 1
    assert verdicts(lake)[0, 2] == ("duplicate", None)


@pytest.fixture(scope="module")
def broken(spark: SparkSession, created: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a lake with a snapshot that counts two logins.

    Seven old failures are broken, and so is the first copy of an event whose second copy is accepted.
    """
    lake = copied(spark, created, tmp_path_factory.mktemp("broken"))
    failures = [an_old_login(offset, outcome="failure", src_ip="192.0.2.1") for offset in range(7)]
    first = an_old_login(8, event_id="same", event_at="2026-01-31T00:00:00Z", username="first")
    append_batch(lake, [*failures, a_raw_login(7, src_ip="198.51.100.1"), first])
    append_batch(lake, [a_raw_login(9, event_id="same", event_at="2026-01-31T23:59:00Z", username="second")], number=1)
    refresh(strict(lake))
    return Path(lake.settings.root)


@pytest.fixture
def broken_lake(spark: SparkSession, broken: Path, tmp_path: Path) -> Lake:
    """A copy of it."""
    return copied(spark, broken, tmp_path)


def counted_users(lake: Lake) -> set[str]:
    """The users that the base counts on the day of the event with two copies."""
    return {row["username"] for row in rows_of(lake, PAIR_ACTIVITY) if row["window_on"] == date(2026, 1, 31)}


def test_gold_is_updated_and_only_touched_days_are_rewritten(broken_lake: Lake) -> None:
    lake, before = broken_lake, last_snapshot(broken_lake)
    of_another_day = F.col("window_on") == F.lit(date(2026, 2, 1))
    kept = {row[0] for row in lake.read(PAIR_ACTIVITY).where(of_another_day).select("_metadata.file_path").collect()}
    assert counted_users(lake) == {"second"}

    found, snapshot = redrive(lake)

    assert before is not None
    assert snapshot is not None
    assert (found.decoded, found.reassigned) == ({"accepted": 8}, 1)
    assert (snapshot.id, snapshot.enrichment) == (before.id + 1, before.enrichment)
    assert {row["src_ip"]: row["attempts"] for row in rows_of(lake, IP_ACTIVITY.table)} == {
        "192.0.2.1": 7,
        "198.51.100.1": 1,
        None: 1,
    }
    assert counted_users(lake) == {"first"}  # the accepted copy became a duplicate
    now = {row[0] for row in lake.read(PAIR_ACTIVITY).select("_metadata.file_path").collect()}
    assert kept
    assert kept < now
    assert faults_of_recomputation(lake) == []
    assert redrive(lake)[1] is None


def test_a_refresh_completes_a_redrive_that_was_killed_after_silver(broken_lake: Lake) -> None:
    redrive_events(broken_lake)

    assert refresh(broken_lake) is not None
    assert sum(row["attempts"] for row in rows_of(broken_lake, PAIR_ACTIVITY)) == 9


def test_a_redrive_during_a_refresh_is_refused(lake: Lake) -> None:
    with writer_lock(lake, "refresh"), pytest.raises(LockHeld, match="lock of refresh"):
        redrive(lake)
