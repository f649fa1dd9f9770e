"""What a refresh works on, and when gold is rebuilt instead of updated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, cast

import narwhals.stable.v2 as nw
import polars as pl
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.changes import added_tables, days_per_commit, lost_commits, must_rebuild, summarize
from gold.rules import load_rules
from gold.rules.evaluate import with_masks
from gold.transforms.base import is_counted
from lakehouse.lake import Lake
from lakehouse.progress import SilverProgress
from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot
from lakehouse.tables.gold import RESTATEMENTS
from lakehouse.tables.metrics import IP_ACTIVITY, PAIR_ACTIVITY
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from tests.gold.builders import LAST, OFFSETS
from tests.serving.lakes import DAY, a_login

RULES = tuple(load_rules(Settings(_env_file=None)))


@dataclass
class FakeLake:
    """A lake that has all its commits, unless a test takes some away.

    Attributes:
        missing: Tables without the commit that the snapshot names.
        overwritten: Tables whose rows were all replaced since.
        silver_offsets: What silver's commit notes.
    """

    missing: tuple[Table, ...] = ()
    overwritten: tuple[Table, ...] = ()
    silver_offsets: Mapping[tuple[str, int], int] = field(default_factory=lambda: OFFSETS)

    def commit_info(self, table: Table, version: int) -> dict[str, Any] | None:
        assert version == 5
        progress = SilverProgress(self.silver_offsets, LAST.at.date())
        return None if table in self.missing else {"userMetadata": progress.to_json()}

    def was_overwritten(self, table: Table, *, after: int) -> bool:
        assert after == LAST.versions.get(table.full_name, 0)
        return table in self.overwritten


def lake(**values: Any) -> Lake:
    return cast("Lake", FakeLake(**values))


def without(*tables: Table) -> Snapshot:
    """The last snapshot, as a release that did not have these tables published it."""
    names = {table.full_name for table in tables}
    return replace(LAST, versions={name: version for name, version in LAST.versions.items() if name not in names})


def test_no_commit_is_lost_where_all_are_there_and_silver_notes_the_published_offsets() -> None:
    assert lost_commits(lake(), LAST) == []


@pytest.mark.parametrize("table", [EVENTS, PAIR_ACTIVITY], ids=lambda table: table.full_name)
def test_a_table_without_the_published_commit_has_lost_it(table: Table) -> None:
    assert lost_commits(lake(missing=(table,)), LAST) == [table.full_name]


def test_silver_has_lost_its_commit_if_another_one_has_the_published_version() -> None:
    assert lost_commits(lake(silver_offsets={("logs", 0): 11}), LAST) == ["silver.events"]


def test_a_table_that_was_not_published_has_lost_nothing() -> None:
    assert lost_commits(lake(missing=(RESTATEMENTS,)), without(RESTATEMENTS)) == []


def test_gold_is_updated_where_no_table_is_new_or_overwritten() -> None:
    assert not must_rebuild(lake(), LAST)


@pytest.mark.parametrize("table", [EVENTS, IP_ACTIVITY.table], ids=lambda table: table.full_name)
def test_gold_is_rebuilt_if_a_table_was_overwritten_since_the_last_snapshot(table: Table) -> None:
    assert must_rebuild(lake(overwritten=(table,)), LAST)


def test_gold_is_rebuilt_if_a_release_adds_a_stored_metric() -> None:
    older = without(IP_ACTIVITY.table)

    assert added_tables(older) == [IP_ACTIVITY.table]
    assert must_rebuild(lake(), older)


def test_restatements_begin_without_a_rebuild() -> None:
    assert added_tables(without(RESTATEMENTS)) == []


def test_days_are_split_into_commits_of_a_hundred_in_order() -> None:
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(250)]

    commits = list(days_per_commit(reversed(days)))

    assert [len(commit) for commit in commits] == [100, 100, 50]
    assert [day for commit in commits for day in commit] == days


def test_no_days_need_no_commit() -> None:
    assert list(days_per_commit([])) == []


EVENT_ROWS = [
    a_login(0, event_at=DAY + timedelta(days=1, hours=2)),
    a_login(1, outcome="success", event_at=DAY + timedelta(days=2), is_mfa=True, country="DE", failure_reason=None)
    | {"session_id": "s1"},
    a_login(2, src_ip=None, event_at=DAY + timedelta(days=3)),
    a_login(3, action="probe", outcome=None, event_at=DAY + timedelta(days=4)),
    a_login(4, action="logout", outcome=None, event_at=DAY + timedelta(days=5)),
    *(a_login(5, verdict=verdict, event_at=DAY + timedelta(days=9)) for verdict in ("duplicate", "ignored", "broken")),
    a_login(8, verdict="broken", action=None, outcome=None) | {"event_at": None},
    a_login(9, action="lockout", outcome=None, event_at=DAY + timedelta(days=6)),
]
# The offsets of the rows that each rule reads, and the day of each.
READ = {
    "brute_force_ip": [0, 3],
    "brute_force_slow": [0, 3],
    "user_enumeration": [0, 3],
    "password_spray": [0],
    "credential_stuffing": [0],
    "distributed_brute_force_user": [0, 2],
    "lockout_burst": [9],
    "lockout_burst_ip": [9],
    "mfa_fatigue": [1],
    "several_countries": [1],
    "password_spray_distributed": [0, 1, 2],
    "success_after_attack": [1],
    "success_after_attack_ip": [0, 1],
    "impossible_travel": [1],
    "session_replay": [1],
    "concurrent_sessions": [1],
    "listed_ip": [],  # without a list, as shipped
    "new_country": [1],
    "new_ip": [1],
    "new_agent": [1],
    "unusual_hour": [1],
    "dormant_user": [1],
    "failure_spike": [0, 2],
}
DAYS = {0: 1, 1: 2, 2: 3, 3: 4, 9: 6}
EVENT_TABLE = pa.Table.from_pylist(EVENT_ROWS, schema=EVENTS.arrow_schema())


def days_after(*numbers: int) -> set[date]:
    return {DAY.date() + timedelta(days=number) for number in numbers}


def test_a_summary_has_the_times_and_the_days_that_metrics_and_rules_read(spark: SparkSession) -> None:
    # As a producer may set it in a topic with timestamp type CreateTime.
    beyond_the_calendar = F.timestamp_micros(F.lit(1_772_000_000_000_000_000))
    events = spark.createDataFrame(EVENT_TABLE)
    is_first = F.col("offset") == 0
    events = events.withColumn("appended_at", F.when(is_first, beyond_the_calendar).otherwise(F.col("appended_at")))

    summary = summarize(with_masks(events, RULES), RULES)

    assert summary.first_event_at == DAY + timedelta(days=1, hours=2)
    assert summary.last_event_at == DAY + timedelta(days=6)
    assert summary.last_append_at == DAY + timedelta(days=9)
    assert set(summary.metric_days) == days_after(1, 2, 3, 4, 6)
    assert {rule: set(days) for rule, days in summary.rule_days.items()} == {
        rule: days_after(*(DAYS[offset] for offset in offsets)) for rule, offsets in READ.items()
    }


def test_masks_select_the_same_rows_on_both_engines(spark: SparkSession) -> None:
    on_spark, on_polars = nw.from_native(spark.createDataFrame(EVENT_TABLE)), pl.from_arrow(EVENT_TABLE)
    masks = [is_counted(), *(rule.reads() for rule in RULES)]

    by_spark = [sorted(row["offset"] for row in on_spark.filter(mask).to_native().collect()) for mask in masks]
    by_polars = [sorted(nw.from_native(on_polars).filter(mask).to_native()["offset"].to_list()) for mask in masks]

    assert by_spark == by_polars == [[0, 1, 2, 3, 9], *(READ[rule.name] for rule in RULES)]
