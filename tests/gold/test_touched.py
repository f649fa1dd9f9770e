"""Which entities a change touches, and on which days their detections can change."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.changes import Changes, ChangeSummary
from gold.first_seen import FirstLogins
from gold.rules import load_rules
from gold.rules.evaluate import with_masks
from gold.touched import not_of_touched, of_touched, touched_entities
from lakehouse.progress import SilverProgress
from lakehouse.settings import Settings
from lakehouse.tables.silver import EVENTS
from tests.serving.lakes import DAY, a_login

RULES = tuple(load_rules(Settings(_env_file=None)))
LAST_DAY = DAY.date() + timedelta(days=9)
FIRST_LOGINS = "username string, kind string, value string, old_at timestamp, first_at timestamp"


def day(number: int) -> date:
    return DAY.date() + timedelta(days=number)


def spans_of(
    spark: SparkSession, *rows: dict[str, Any], moved: tuple[tuple[str, datetime], ...] = ()
) -> dict[tuple[str, str], tuple[date, date]]:
    """The first and the last day of each entity that changed rows touch.

    Args:
        spark: The session.
        rows: The changed rows of silver.events.
        moved: Users with a first login that is now at another instant than DAY.
    """
    feed = spark.createDataFrame(pa.Table.from_pylist(list(rows), schema=EVENTS.arrow_schema()))
    feed = with_masks(feed.withColumn("_change_type", F.lit("insert")), RULES)
    firsts = [(user, "app", "portal", DAY, at) for user, at in moved]
    logins = FirstLogins(spark.createDataFrame(firsts, FIRST_LOGINS), [])
    summary = ChangeSummary(last_event_at=DAY + timedelta(days=9))
    changes = Changes(None, SilverProgress({}, DAY.date()), feed, feed, summary, is_rebuild=False)
    found = touched_entities(changes, RULES, logins=logins).collect()
    return {(row["entity_type"], row["entity"]): (row["first_day"], row["last_day"]) for row in found}


def a_success(number: int, *, on: int, **values: Any) -> dict[str, Any]:
    at = DAY + timedelta(days=on)
    return a_login(number, event_at=at, event_on=at.date(), outcome="success", failure_reason=None, **values)


def test_each_entity_has_the_days_that_its_own_events_reach(spark: SparkSession) -> None:
    failed_at = DAY + timedelta(days=3)
    spans = spans_of(
        spark,
        a_success(0, on=9, username="now", src_ip="192.0.2.1", app="portal"),
        a_success(1, on=3, username="late", src_ip="192.0.2.2", app="portal"),
        a_login(2, event_at=failed_at, event_on=day(3), username="failed", src_ip="192.0.2.3", app="mail"),
    )

    assert spans["username", "now"] == (day(8), LAST_DAY)
    # Rules over baselines compare the days after a login with it, up to the last day with an event.
    assert spans["username", "late"] == (day(2), LAST_DAY)
    assert spans["app", "mail"] == (day(2), LAST_DAY)
    assert spans["src_ip", "192.0.2.2"] == spans["src_ip", "192.0.2.3"] == (day(2), day(4))


def test_a_moved_first_login_reaches_the_days_after_both_instants(spark: SparkSession) -> None:
    moved = (("earlier", DAY - timedelta(days=5)), ("later", DAY + timedelta(days=7)))
    spans = spans_of(spark, moved=moved)

    assert spans == {("username", "earlier"): (day(-5), LAST_DAY), ("username", "later"): (day(0), LAST_DAY)}


@pytest.mark.parametrize(("around", "touched"), [({}, [3, 4, 5]), ({"before": 1, "after": 2}, [2, 3, 4, 5, 6, 7])])
def test_rows_are_parted_by_the_days_of_their_entity(
    spark: SparkSession, around: dict[str, int], touched: list[int]
) -> None:
    spans = spark.createDataFrame(
        [("app", "mail", day(3), day(5))], "entity_type string, entity string, first_day date, last_day date"
    )
    rows = [("app", app, day(number)) for number in range(9) for app in ("mail", "portal")]
    detections = spark.createDataFrame(rows, "entity_type string, entity string, fired_on date")

    found = of_touched(detections, spans, day=F.col("fired_on"), **around).collect()
    others = not_of_touched(detections, spans, day=F.col("fired_on")).count()

    assert sorted((row["entity"], row["fired_on"]) for row in found) == [("mail", day(number)) for number in touched]
    assert others == len(rows) - 3
