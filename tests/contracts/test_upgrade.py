"""A lake that an earlier commit wrote works with today's code, and with a release that declares more columns."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse.lake import Lake
from loginlake.pipeline import refresh
from tests.contracts.upgrade_lake import settings_of, upgrade
from tests.lakehouse.old_lakes import LAKE_737D31B, unpack_lake

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
SOURCES = ("lakehouse", "bronze", "silver", "gold", "serving", "loginlake", "producer", "tests", "conf")

# A release with one more column in silver, in the base, in a stored metric and in the detections: file, text, new text.
NEXT_RELEASE = [
    (
        "lakehouse/tables/silver.py",
        '        Column("verdict", "string",',
        '        Column("note", "string", "A column of the next release."),\n        Column("verdict", "string",',
    ),
    (
        "silver/formats/record.py",
        "    extra: str | None = None\n",
        '    extra: str | None = None\n    note: str | None = "noted"\n',
    ),
    (
        "lakehouse/tables/metrics.py",
        '        Column("mfa_successes", "long",',
        '        Column("tries", "long", "A column of the next release."),\n        Column("mfa_successes", "long",',
    ),
    (
        "lakehouse/tables/metrics.py",
        '        Column("users_failed", "long",',
        '        Column("tries", "long", "A column of the next release."),\n        Column("users_failed", "long",',
    ),
    (
        "lakehouse/tables/gold.py",
        '        Column("technique", "string",',
        '        Column("reviewer", "string", "A column of the next release."),\n        Column("technique", "string",',
    ),
    (
        "gold/transforms/base.py",
        "        mfa_successes=_occurrences(",
        '        tries=_occurrences(nw.col("times") > 0),\n        mfa_successes=_occurrences(',
    ),
    (
        "gold/transforms/metrics.py",
        '    per_ip = pairs.group_by("window_at", "src_ip").agg(\n        **_sums(',
        '    per_ip = pairs.group_by("window_at", "src_ip").agg(\n        **_sums("tries", ',
    ),
    (
        "gold/rules/detections.py",
        '        "technique": rule.technique,',
        '        "reviewer": "nobody",\n        "technique": rule.technique,',
    ),
]
NOTE, TRIES, IP_TRIES, REVIEWER = ADDED = (
    "silver.events.note",
    "gold.pair_activity_hourly.tries",
    "gold.ip_activity.tries",
    "gold.detections.reviewer",
)


def upgraded_by(sources: Path, root: Path, *columns: str) -> dict[str, Any]:
    """Return what tests/contracts/upgrade_lake.py prints when it runs with these sources on a lake."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.contracts.upgrade_lake", str(root), *columns],
        cwd=sources,
        env={**os.environ, "PYTHONPATH": str(sources)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ended.returncode == 0, ended.stderr[-8_000:]
    return json.loads(ended.stdout.splitlines()[-1])


def next_release(tmp_path: Path) -> Path:
    sources = tmp_path / "next_release"
    for name in SOURCES:
        shutil.copytree(REPOSITORY / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file, text, new_text in NEXT_RELEASE:
        before = (sources / file).read_text()
        assert before.count(text) == 1, f"{file} has not exactly one {text!r}"
        (sources / file).write_text(before.replace(text, new_text))
    return sources


def test_the_lake_of_an_earlier_commit_opens_refreshes_and_verifies(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(spark, settings_of(unpack_lake(LAKE_737D31B, tmp_path)))
    # That commit did not declare the probes of an address.
    probes = "gold.ip_activity.probes"
    steps = upgrade(lake, "silver.events.username", "gold.ip_activity.attempts", probes)

    assert {name: step["faults"] for name, step in steps.items() if "faults" in step} == {
        "as it was": [],
        "refreshed": [],
        "refreshed with new rows": [],
        "rebuilt": [],
    }
    assert (steps["as it was"]["snapshot"], steps["as it was"]["sql"]) == (2, [47])
    assert steps["refreshed with new rows"]["sql"] == steps["rebuilt"]["sql"] == [49]
    assert steps["rebuilt"]["first snapshot"] == steps["as it was"]["first snapshot"]
    assert steps["as it was"]["last snapshot"][probes] == steps["rebuilt"]["first snapshot"][probes] == [None]
    assert None not in steps["rebuilt"]["last snapshot"][probes]


def test_a_release_with_more_columns_reads_null_in_old_rows_and_fills_them_by_a_rebuild(
    spark: SparkSession, tmp_path: Path
) -> None:
    root = unpack_lake(LAKE_737D31B, tmp_path)
    refresh(Lake(spark, settings_of(root)))  # adds tables that the earlier commit did not have, by a rebuild of gold
    steps = upgraded_by(next_release(tmp_path), root, *ADDED)

    assert {name: step["faults"] for name, step in steps.items() if "faults" in step} == {
        "as it was": [],
        "refreshed": [],
        "refreshed with new rows": [],
        "rebuilt": [],
    }
    nothing = {column: [None] for column in ADDED}
    assert steps["as it was"]["last snapshot"] == steps["refreshed"]["last snapshot"] == nothing
    assert steps["old versions"]["values"] == nothing
    assert all(step["first snapshot"] == nothing for step in steps.values() if "first snapshot" in step)
    new = steps["refreshed with new rows"]["last snapshot"]
    assert new[NOTE] == [None, "noted"]
    assert new[TRIES][0] is None
    assert len(new[TRIES]) > 1
    assert new[REVIEWER] == [None]
    rebuilt = steps["rebuilt"]["last snapshot"]
    assert rebuilt[NOTE] == ["noted"]
    assert rebuilt[REVIEWER] == ["nobody"]
    assert None not in rebuilt[TRIES] + rebuilt[IP_TRIES]
