"""What gold computes by Spark and serving by polars must be equal, cell by cell."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal
from pyspark.sql import DataFrame, SparkSession

from gold.detect import detections
from gold.rules import load_rules
from gold.rules.baseline import over_baselines, over_events
from gold.rules.evaluate import detect
from gold.rules.evaluate_baselines import detect_baselines
from gold.transforms.base import pair_activity_hourly, window_start
from gold.transforms.first_seen import first_seen, updated_values
from gold.transforms.metrics import metric_rows
from lakehouse.settings import Settings
from lakehouse.tables.gold import DETECTIONS, FIRST_SEEN
from lakehouse.tables.metrics import METRICS, PAIR_ACTIVITY
from lakehouse.tables.model import WINDOWS, Metric
from lakehouse.tables.silver import ACTIONS, EVENTS, FAILURE_REASONS, VERDICTS
from producer.events import DAY_SECONDS, SECOND
from producer.generate import batch
from tests.gold.rules.builders import generated_events
from tests.producer.test_generate import END, START, a_plan
from tests.serving.lakes import DAY, a_login


def some_events(count: int = 3_000) -> list[dict[str, Any]]:
    """Rows of few users, addresses and apps over twelve days, null ones among them, with bursts of failures."""
    chance = random.Random(20260302)
    return [_some_event(offset, chance) for offset in range(count)]


def _some_event(offset: int, chance: random.Random) -> dict[str, Any]:
    burst = chance.random() < 0.3
    minutes = 600 + offset // 50 if burst else chance.randrange(12 * 24 * 60)
    at = DAY + timedelta(minutes=minutes, microseconds=chance.randrange(10**6))
    action = chance.choices(ACTIONS, (20, 2, 1, 3))[0]
    outcome = chance.choice(("success", "failure", "failure")) if action == "login" else None
    return a_login(
        offset,
        event_at=at,
        event_on=at.date(),
        action=action,
        outcome=outcome,
        failure_reason=chance.choice((None, *FAILURE_REASONS)) if outcome == "failure" else None,
        times=chance.choice((1, 1, 1, 5)),
        username=chance.choice((None, "", "-", "0", "a", "b", "ü")),
        src_ip="192.0.2.9" if burst else chance.choice((None, "192.0.2.1", "2001:db8::1", "10.0.0.1")),
        app=chance.choice((None, "portal", "sshd")),
        is_mfa=chance.choice((None, True, False)),
        country=chance.choice((None, "DE", "FR")),
        is_private=chance.choice((None, True, False)),
        agent_family=chance.choice((None, "Firefox", "curl")),
        verdict=chance.choices(VERDICTS, (20, 2, 1, 1))[0],
    )


@pytest.fixture(scope="module")
def events() -> pa.Table:
    return pa.Table.from_pylist(some_events(), schema=EVENTS.arrow_schema())


@pytest.fixture(scope="module")
def on_spark(spark: SparkSession, events: pa.Table) -> DataFrame:
    return spark.createDataFrame(events).persist()


@pytest.fixture(scope="module")
def on_polars(events: pa.Table) -> pl.LazyFrame:
    return pl.from_arrow(events).lazy()


# This rule is off without a list of addresses.
NOT_PLANTED = {"listed_ip"}


def assert_equal(by_spark: DataFrame, by_polars: pl.LazyFrame, *, key: tuple[str, ...]) -> None:
    """Equal rows, columns and types; a mean of doubles would differ in its last bit, but there is none."""
    first, second = pl.from_arrow(by_spark.toArrow()), by_polars.collect()
    assert second.height > 0
    assert_frame_equal(first.sort(key), second.sort(key), check_exact=True)


def test_the_base_is_the_same_on_both_engines(on_spark: DataFrame, on_polars: pl.LazyFrame) -> None:
    assert_equal(pair_activity_hourly(on_spark), pair_activity_hourly(on_polars), key=PAIR_ACTIVITY.key)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_is_the_same_on_both_engines(on_spark: DataFrame, on_polars: pl.LazyFrame, metric: Metric) -> None:
    by_spark = metric_rows(metric, pair_activity_hourly(on_spark), every="day")
    by_polars = metric_rows(metric, pair_activity_hourly(on_polars), every="day")

    assert_equal(by_spark, by_polars, key=metric.key)


def test_first_logins_are_the_same_on_both_engines(on_spark: DataFrame, on_polars: pl.LazyFrame) -> None:
    assert_equal(first_seen(on_spark), first_seen(on_polars), key=FIRST_SEEN.key)


def test_changes_of_first_logins_are_the_same_on_both_engines(on_spark: DataFrame, on_polars: pl.LazyFrame) -> None:
    def changed(events: DataFrame | pl.LazyFrame) -> Any:
        rows = nw.from_native(events)
        kind = nw.when(nw.col("offset") % 3 == 0).then(nw.lit("insert")).otherwise(nw.lit("delete"))
        feed = rows.filter(nw.col("offset") % 50 < 2).with_columns(_change_type=kind)
        return updated_values(feed.to_native(), first_seen(rows.filter(nw.col("offset") % 50 > 0).to_native()))

    assert_equal(changed(on_spark), changed(on_polars), key=FIRST_SEEN.key)


def test_windows_start_at_the_same_instants_on_both_engines(on_spark: DataFrame, on_polars: pl.LazyFrame) -> None:
    def starts(events: DataFrame | pl.LazyFrame) -> Any:
        windows = {every: window_start(nw.col("event_at"), every) for every in WINDOWS}
        return nw.from_native(events).select("offset", **windows).to_native()

    assert_equal(starts(on_spark), starts(on_polars), key=("offset",))


def test_the_rules_find_the_same_on_both_engines(spark: SparkSession, on_polars: pl.LazyFrame) -> None:
    rules = over_events(load_rules(Settings(_env_file=None)))
    attacks = generated_events(batch(a_plan(noise=0.0, attacks=0.0, cases=1), events=1_000, end=END))
    events = pl.concat([on_polars, attacks]).collect()
    on_spark = spark.createDataFrame(events.to_arrow().cast(EVENTS.arrow_schema()))

    days = set(events["event_at"].dt.date())

    by_polars = detect(events.lazy(), rules)

    assert {row["rule"] for row in by_polars.to_pylist()} >= {rule.name for rule in rules} - NOT_PLANTED
    assert_equal(detections(on_spark, rules, days=days), pl.from_arrow(by_polars).lazy(), key=DETECTIONS.key)


def test_the_rules_over_baselines_find_the_same_on_both_engines(spark: SparkSession) -> None:
    rules = over_baselines(load_rules(Settings(_env_file=None)))
    plan = a_plan(noise=0.0, attacks=0.0, look_alikes=0.0, cases=1)
    events = generated_events(batch(plan, events=2_000, end=START + 45 * DAY_SECONDS * SECOND)).collect()
    on_spark = spark.createDataFrame(events.to_arrow().cast(EVENTS.arrow_schema()))
    days = set(events["event_at"].dt.date())

    by_polars = detect_baselines(events.lazy(), rules)

    assert {row["rule"] for row in by_polars.to_pylist()} == {rule.name for rule in rules}
    assert_equal(detections(on_spark, rules, days=days), pl.from_arrow(by_polars).lazy(), key=DETECTIONS.key)
