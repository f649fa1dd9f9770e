from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings

from gold.transforms.base import pair_activity_hourly
from gold.transforms.metrics import AGGREGATIONS, metric_rows
from lakehouse.tables import METRICS_BY_NAME
from lakehouse.tables.metrics import (
    ACTIVE_USERS,
    APP_ACTIVITY,
    HOUR_OF_WEEK,
    IP_ACTIVITY,
    METRICS,
    PAIR_ACTIVITY,
    USER_ACTIVITY,
)
from lakehouse.tables.model import Metric, Window
from lakehouse.tables.silver import ACTIONS, EVENTS, FAILURE_REASONS, VERDICTS
from tests.gold.naive_metrics import naive_rows
from tests.serving.lakes import DAY, a_login

Row = dict[str, Any]


def a_success(offset: int, **values: Any) -> Row:
    return a_login(offset, **{"outcome": "success", "failure_reason": None} | values)


def base_of(*events: Row) -> pl.DataFrame:
    rows = pl.from_arrow(pa.Table.from_pylist(list(events), schema=EVENTS.arrow_schema()))
    return pair_activity_hourly(rows.lazy()).collect()


def rows_of(metric: Metric, *events: Row, every: Window = "day") -> list[Row]:
    return metric_rows(metric, base_of(*events).lazy(), every=every).collect().sort(metric.key).to_dicts()


@st.composite
def an_event(draw: st.DrawFn) -> Row:
    """An event of any verdict and action within ten weeks, of few users, addresses and apps, null ones among them."""
    at = DAY + timedelta(minutes=draw(st.integers(0, 70 * 24 * 60)))
    action = draw(st.sampled_from(("login",) * 6 + ACTIONS))
    outcome = draw(st.sampled_from(("success", "failure"))) if action == "login" else None
    country = {None: None, "10.0.0.1": None, "192.0.2.1": "DE", "192.0.2.2": "DE", "192.0.2.3": "FR"}
    src_ip = draw(st.sampled_from(tuple(country)))
    return a_login(
        0,
        event_at=at,
        event_on=at.date(),
        action=action,
        outcome=outcome,
        failure_reason=draw(st.sampled_from((None, *FAILURE_REASONS))) if outcome == "failure" else None,
        times=draw(st.sampled_from((1, 1, 5))),
        username=draw(st.sampled_from((None, "", "a", "b"))),
        src_ip=src_ip,
        app=draw(st.sampled_from((None, "portal", "sshd"))),
        is_mfa=draw(st.sampled_from((None, True, False))),
        country=country[src_ip],
        is_private=None if src_ip is None else src_ip == "10.0.0.1",
        verdict=draw(st.sampled_from(("accepted",) * 6 + VERDICTS)),
    )


def test_every_declared_metric_has_a_function() -> None:
    assert set(AGGREGATIONS) == {metric.name for metric in METRICS}


def test_the_base_has_exactly_the_declared_columns() -> None:
    assert base_of(a_login(0)).to_arrow().schema.names == list(PAIR_ACTIVITY.column_names)


def test_attempts_are_the_sum_of_times_by_outcome_and_reason() -> None:
    (row,) = base_of(
        a_login(0, times=5), a_login(1, failure_reason="unknown_user"), a_success(2, is_mfa=True), a_success(3)
    ).to_dicts()

    assert (row["attempts"], row["successes"], row["failures"]) == (8, 2, 6)
    assert (row["failures_invalid_credentials"], row["failures_unknown_user"], row["failures_other"]) == (5, 1, 0)
    assert row["mfa_successes"] == 1


def test_only_accepted_rows_count() -> None:
    assert base_of(*(a_login(0, verdict=verdict) for verdict in ("duplicate", "ignored", "broken"))).is_empty()


def test_probes_and_lockouts_do_not_count_as_attempts() -> None:
    (row,) = base_of(
        a_login(0, action="probe", outcome=None), a_login(1, action="lockout", outcome=None, times=2)
    ).to_dicts()

    assert (row["attempts"], row["failures"], row["probes"], row["lockouts"]) == (0, 0, 1, 2)


def test_a_logout_is_not_counted() -> None:
    assert base_of(a_login(0, action="logout", outcome=None)).is_empty()


def test_null_is_a_key_of_its_own() -> None:
    rows = base_of(a_login(0, username=None), a_login(1, username=None), a_login(2, username="null"))

    assert sorted(rows["attempts"].to_list()) == [1, 2]


def test_hours_and_days_are_utc() -> None:
    late = a_login(0, event_at=DAY + timedelta(hours=23, minutes=59))
    next_day = a_login(1, event_at=DAY + timedelta(days=1), event_on=DAY.date() + timedelta(days=1))

    assert base_of(late, next_day).sort("window_at")["window_on"].to_list() == [late["event_on"], next_day["event_on"]]


def test_ip_activity_counts_distinct_users_and_apps_with_an_attempt() -> None:
    (row,) = rows_of(
        IP_ACTIVITY,
        a_login(0, username="a", app="x"),
        a_success(1, username="a", app="y"),
        a_success(2, username="b", app="y"),
        a_login(3, username=None, app="y"),
        a_login(4, username="probed", app="z", action="probe", outcome=None),
    )

    assert (row["attempts"], row["users"], row["users_failed"], row["apps"]) == (4, 3, 2, 2)
    assert row["failure_rate"] == 0.5


def test_a_rate_without_attempts_is_null() -> None:
    (row,) = rows_of(IP_ACTIVITY, a_login(0, action="probe", outcome=None))

    assert (row["attempts"], row["failure_rate"], row["users"]) == (0, None, 0)


def test_user_activity_counts_an_unknown_country_as_one() -> None:
    (row,) = rows_of(
        USER_ACTIVITY,
        a_success(0, src_ip="192.0.2.1", country="DE"),
        a_success(1, src_ip="192.0.2.2", country="FR", event_at=DAY + timedelta(hours=3)),
        a_login(2, src_ip="10.0.0.1", country=None),
    )

    assert (row["ips"], row["countries"]) == (3, 3)
    assert (row["last_success_at"], row["last_failure_at"]) == (DAY + timedelta(hours=3), DAY + timedelta(minutes=1))


def test_app_activity_counts_active_users_and_the_rate_of_a_second_factor() -> None:
    (row,) = rows_of(
        APP_ACTIVITY,
        a_success(0, username="a", is_mfa=True),
        a_success(1, username="b", is_mfa=False),
        a_success(2, username="b", src_ip="192.0.2.9", is_mfa=None),
        a_login(3, username="c", src_ip="192.0.2.8"),
    )

    assert (row["active_users"], row["active_ips"]) == (2, 2)
    assert row["mfa_rate"] == 1 / 3


def test_a_metric_has_one_row_per_hour_or_one_per_day() -> None:
    events = [a_login(hour, event_at=DAY + timedelta(hours=hour)) for hour in range(3)]

    assert [row["attempts"] for row in rows_of(IP_ACTIVITY, *events, every="hour")] == [1, 1, 1]
    assert [row["attempts"] for row in rows_of(IP_ACTIVITY, *events)] == [3]


@pytest.mark.parametrize("name", METRICS_BY_NAME)
@given(events=st.lists(an_event(), min_size=1, max_size=60), data=st.data())
@settings(max_examples=12)
def test_a_metric_equals_a_naive_loop_over_the_events(name: str, events: list[Row], data: st.DataObject) -> None:
    metric = METRICS_BY_NAME[name]
    every = data.draw(st.sampled_from(metric.every))

    computed, expected = rows_of(metric, *events, every=every), naive_rows(name, events, every=every)

    assert sorted(computed, key=repr) == sorted(expected, key=repr)


@pytest.mark.parametrize(
    ("hours", "measure"), [(24, "returning"), (30 * 24 - 1, "returning"), (30 * 24, "reactivated")]
)
def test_a_user_who_was_away_for_thirty_days_is_reactivated(hours: int, measure: str) -> None:
    first, *_, last = rows_of(ACTIVE_USERS, a_success(0), a_success(1, event_at=DAY + timedelta(hours=hours)))

    assert (first["active"], first["new"]) == (1, 1)
    assert (last["active"], last["new"], last[measure]) == (1, 0, 1)


@pytest.mark.parametrize(("weeks", "attempts"), [(0, []), (1, [1]), (4, [1]), (5, [])])
def test_a_baseline_is_the_same_hour_of_the_four_weeks_before(weeks: int, attempts: list[int]) -> None:
    later = DAY + timedelta(weeks=weeks)
    rows = rows_of(HOUR_OF_WEEK, a_login(0), a_login(1, username="other", event_at=later))

    baseline = [row for row in rows if row["window_at"] == later]
    assert [row["attempts"] for row in baseline] == attempts
    assert {(row["username"], row["weekday"], row["hour"]) for row in baseline} <= {("user0001", 1, 0)}


@pytest.mark.parametrize(
    ("every", "start"),
    [
        ("hour", datetime(2024, 2, 29, 23, tzinfo=UTC)),
        ("day", datetime(2024, 2, 29, tzinfo=UTC)),
        ("week", datetime(2024, 2, 26, tzinfo=UTC)),
        ("month", datetime(2024, 2, 1, tzinfo=UTC)),
    ],
)
def test_a_window_is_utc_and_a_week_starts_on_monday(every: Window, start: datetime) -> None:
    (row,) = rows_of(IP_ACTIVITY, a_login(0, event_at=datetime(2024, 2, 29, 23, 59, 59, 999999, UTC)), every=every)

    assert (row["window_at"], row["window_on"]) == (start, start.date())
