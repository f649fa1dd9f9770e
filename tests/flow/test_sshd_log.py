"""A real sshd log, replayed twice."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bronze.stream import ingest_once
from lakehouse.lake import Lake
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.silver import EVENTS
from loginlake.pipeline import refresh
from loginlake.verify import verify
from serving.store import Store
from tests.loginlake.command_line import Loginlake
from tests.spark_lakes import rows_of

SSHD_LOG = os.environ.get("LOGINLAKE_SSHD_LOG")
LINES = 7_121


def replay(lake: Lake, folder: Path) -> None:
    """Send the log as last year's, and read and publish it."""
    loginlake = Loginlake(folder, {"LOGINLAKE_KAFKA": lake.settings.kafka, "LOGINLAKE_TOPIC": lake.settings.topic})
    year = str(datetime.now(UTC).year - 1)
    sent = loginlake("produce", "replay", str(SSHD_LOG), "--format", "sshd", "--year", year)
    assert sent.returncode == 0, sent.stderr
    ingest_once(lake)
    refresh(lake)


def logins(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["verdict"] == "accepted" and row["action"] == "login"]


@pytest.mark.skipif(SSHD_LOG is None, reason="LOGINLAKE_SSHD_LOG names no real sshd log")
def test_a_real_log_has_the_known_counts_which_a_second_replay_does_not_change(fed_lake: Lake, tmp_path: Path) -> None:
    replay(fed_lake, tmp_path)

    rows = rows_of(fed_lake, EVENTS)
    assert len(rows) == LINES
    assert len(logins(rows)) == 943
    times: Counter[str] = Counter()
    for row in logins(rows):
        times[row["outcome"]] += row["times"]
    assert times == {"success": 226, "failure": 1042}
    gold = {table.full_name: rows_of(fed_lake, table) for table in SNAPSHOT_TABLES if table.layer == "gold"}
    assert sum(row["attempts"] for row in gold["gold.ip_activity"]) == 226 + 1042
    assert gold["gold.detections"]

    replay(fed_lake, tmp_path)

    again = rows_of(fed_lake, EVENTS)
    added = Counter(row["verdict"] for row in again) - Counter(row["verdict"] for row in rows)
    assert len(again) == 2 * LINES
    assert sum(added.values()) == LINES
    assert added["accepted"] == 0
    assert {name: rows_of(fed_lake, table) for table in SNAPSHOT_TABLES if (name := table.full_name) in gold} == gold
    assert verify(fed_lake.settings, Store(fed_lake.settings)).ok
