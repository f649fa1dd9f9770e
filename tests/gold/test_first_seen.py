"""The table first_seen: computed from all events, and updated by the changes of silver."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings

from gold.transforms.first_seen import KINDS, first_seen, updated_values
from lakehouse.tables.gold import FIRST_SEEN
from lakehouse.tables.silver import ACTIONS, EVENTS, VERDICTS
from tests.serving.lakes import DAY, a_login

Row = dict[str, Any]


def a_success(offset: int, **values: Any) -> Row:
    return a_login(offset, **{"outcome": "success", "failure_reason": None} | values)


def silver(events: list[Row]) -> pl.LazyFrame:
    return pl.LazyFrame(pa.Table.from_pylist(events, schema=EVENTS.arrow_schema()))


def rows_of(events: list[Row]) -> list[Row]:
    return sorted(first_seen(silver(events)).collect().to_dicts(), key=repr)


def naive_rows(events: list[Row]) -> list[Row]:
    """A plain loop, written from the meanings of the columns."""
    firsts: dict[tuple[Any, ...], Any] = {}
    for event in events:
        if (event["verdict"], event["action"], event["outcome"]) != ("accepted", "login", "success"):
            continue
        for kind, value in (
            ("src_ip", event["src_ip"]),
            ("country", event["country"]),
            ("agent", event["agent_family"]),
            ("app", event["app"]),
        ):
            key = (event["username"], kind, value)
            firsts[key] = min(firsts.get(key, event["event_at"]), event["event_at"])
    rows = [
        {"username": username, "kind": kind, "value": value, "first_at": at, "first_on": at.date()}
        for (username, kind, value), at in firsts.items()
    ]
    return sorted(rows, key=repr)


def changed_values(feed: pl.LazyFrame, published: pl.LazyFrame) -> pl.DataFrame:
    is_changed = pl.col("is_lost") | pl.col("first_at").ne_missing(pl.col("old_at"))
    values: pl.DataFrame = updated_values(feed, published).filter(is_changed).collect()
    return values


def updated(before: list[Row], feed: list[Row], after: list[Row]) -> list[Row]:
    """The rows before the changes of a feed, updated as the job does: where `updated_values` says so, nowhere else."""
    published = first_seen(silver(before)).collect()
    changes = silver(feed).collect().with_columns(_change_type=pl.Series([row["_change_type"] for row in feed]))
    changed = changed_values(changes.lazy(), published.lazy()).to_dicts()
    recomputed = {tuple(row[name] for name in FIRST_SEEN.key): row for row in naive_rows(after)}
    rows = {tuple(row[name] for name in FIRST_SEEN.key): row for row in published.to_dicts()}
    for value in changed:
        key = tuple(value[name] for name in FIRST_SEEN.key)
        assert value["old_at"] == rows.pop(key, {"first_at": None})["first_at"]
        if value["is_lost"]:
            rows |= {key: recomputed[key]} if key in recomputed else {}
        else:
            at = value["first_at"]
            rows[key] = dict(zip(FIRST_SEEN.key, key, strict=True)) | {"first_at": at, "first_on": at.date()}
    return sorted(rows.values(), key=repr)


@st.composite
def an_event(draw: st.DrawFn) -> Row:
    at = DAY + timedelta(hours=draw(st.integers(0, 90)))
    action = draw(st.sampled_from(("login",) * 8 + ACTIONS))
    return a_login(
        draw(st.integers(0, 10**9)),
        event_at=at,
        event_on=at.date(),
        action=action,
        outcome=draw(st.sampled_from(("success", "success", "failure"))) if action == "login" else None,
        username=draw(st.sampled_from((None, "", "a", "b"))),
        src_ip=draw(st.sampled_from((None, "192.0.2.1", "192.0.2.2"))),
        country=draw(st.sampled_from((None, "DE", "FR"))),
        agent_family=draw(st.sampled_from((None, "Firefox", "curl"))),
        app=draw(st.sampled_from((None, "portal", "sshd"))),
        verdict=draw(st.sampled_from(("accepted",) * 6 + VERDICTS)),
    )


@given(events=st.lists(an_event(), max_size=40))
@settings(max_examples=25)
def test_first_logins_equal_a_naive_loop_over_the_events(events: list[Row]) -> None:
    assert rows_of(events) == naive_rows(events)


@given(data=st.data(), events=st.lists(an_event(), min_size=1, max_size=30))
@settings(max_examples=60)
def test_an_update_by_added_removed_and_changed_rows_equals_computing_everything_again(
    data: st.DataObject, events: list[Row]
) -> None:
    kept = [data.draw(st.sampled_from(("before", "both", "after", "changed", "passing", "mended"))) for _ in events]
    changed_to = [
        data.draw(an_event()) if fate in ("changed", "mended") else event
        for fate, event in zip(kept, events, strict=True)
    ]
    before = [event for fate, event in zip(kept, events, strict=True) if fate in ("before", "both", "changed")]
    after = [event for fate, event in zip(kept, changed_to, strict=True) if fate not in ("before", "passing")]
    feed = []
    for fate, event, new in zip(kept, events, changed_to, strict=True):
        feed += [event | {"_change_type": "insert"}] if fate in ("after", "passing", "mended") else []
        feed += [event | {"_change_type": "delete"}] if fate in ("before", "passing") else []
        if fate in ("changed", "mended"):
            feed += [event | {"_change_type": "update_preimage"}, new | {"_change_type": "update_postimage"}]

    assert updated(before, feed, after) == naive_rows(after)


def test_values_that_are_known_do_not_change() -> None:
    known = [a_success(0)]
    again = a_success(1, event_at=DAY + timedelta(days=9)) | {"_change_type": "insert"}

    feed = silver([again]).with_columns(_change_type=pl.lit("insert"))

    assert changed_values(feed, first_seen(silver(known))).is_empty()


@pytest.mark.parametrize("kind", KINDS)
def test_a_failed_login_makes_no_value_known(kind: str) -> None:
    failed = a_login(0, src_ip="192.0.2.9", country="FR", agent_family="curl", app="vpn")
    success = a_success(
        1, src_ip="192.0.2.9", country="FR", agent_family="curl", app="vpn", event_at=DAY + timedelta(days=1)
    )

    (row,) = [row for row in rows_of([failed, success]) if row["kind"] == kind]

    assert row["first_at"] == success["event_at"]
