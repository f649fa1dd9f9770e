"""The view `sessions`: when sessions began and ended."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse.errors import LakeUnreadable
from lakehouse.settings import Settings
from lakehouse.tables.gold import SESSIONS
from lakehouse.tables.silver import EVENTS
from serving.queries import TableQuery, rows_at_snapshot
from serving.selection import Selection
from serving.sessions import TIMEOUT
from serving.sql import sql_answer
from serving.store import Store
from tests.serving.conftest import served_here
from tests.serving.lakes import DAY, SmallLake, a_login

HOUR = timedelta(hours=1)


def an_event(offset: int, session_id: str | None, *, hours: float = 0, **values: Any) -> dict[str, Any]:
    at = {"event_at": DAY + hours * HOUR, "appended_at": DAY + 7 * 24 * HOUR}
    return a_login(offset, **{"session_id": session_id, "outcome": "success", "failure_reason": None} | at | values)


def a_logout(offset: int, session_id: str, *, hours: float) -> dict[str, Any]:
    return an_event(offset, session_id, hours=hours, action="logout", outcome=None)


def sessions_of(settings: Settings) -> dict[str, dict[str, Any]]:
    store = Store(settings)
    return {row["session_id"]: row for row in store.rows(SESSIONS, store.snapshot()).collect().to_dicts()}


def test_a_session_lasts_from_its_first_login_to_its_logout(settings: Settings, lake: SmallLake) -> None:
    again = an_event(1, "s1", hours=1, src_ip="192.0.2.7", username="other")
    lake.publish([a_logout(2, "s1", hours=2.5), an_event(0, "s1"), again], [])

    assert sessions_of(settings)["s1"] == {
        "session_id": "s1",
        "username": "user0001",
        "ips": 2,
        "started_at": DAY,
        "started_on": DAY.date(),
        "ended_at": DAY + 2.5 * HOUR,
        "duration_seconds": 9_000,
        "state": "logout",
    }


def test_a_session_without_logout_is_open_until_it_had_no_event_for_a_day(settings: Settings, lake: SmallLake) -> None:
    timeout = TIMEOUT / HOUR
    lake.publish(
        [
            an_event(0, "old"),
            an_event(1, "long"),
            an_event(2, "long", hours=0.5),
            an_event(3, "used after its logout", hours=1),
            a_logout(4, "used after its logout", hours=2),
            an_event(5, "used after its logout", hours=3),
            an_event(6, None, hours=timeout),
        ],
        [],
    )

    found = sessions_of(settings)

    assert {name: row["state"] for name, row in found.items()} == {
        "old": "timeout",
        "long": "open",
        "used after its logout": "open",
    }
    assert (found["old"]["ended_at"], found["old"]["duration_seconds"]) == (DAY, 0)
    assert (found["long"]["ended_at"], found["long"]["duration_seconds"]) == (None, None)


def test_a_session_of_which_only_the_logout_is_known_has_no_start(settings: Settings, lake: SmallLake) -> None:
    lake.publish([a_logout(0, "s1", hours=1)], [])

    row = sessions_of(settings)["s1"]

    assert (row["started_at"], row["started_on"], row["duration_seconds"]) == (None, None, None)
    assert (row["ended_at"], row["state"]) == (DAY + HOUR, "logout")


def test_only_accepted_logins_and_logouts_are_events_of_a_session(settings: Settings, lake: SmallLake) -> None:
    others = [
        an_event(1, "duplicate", verdict="duplicate"),
        an_event(2, "failed", outcome="failure"),
        an_event(3, "probe", action="probe", outcome=None),
    ]
    lake.publish([an_event(0, "s1"), *others], [])

    assert list(sessions_of(settings)) == ["s1"]


def test_a_missing_file_is_an_error_that_names_the_table(settings: Settings, lake: SmallLake) -> None:
    snapshot = lake.publish([an_event(0, "s1")], [])
    for file in Path(settings.table_uri(EVENTS.layer, EVENTS.name)).rglob("*=*/*.parquet"):
        file.unlink()

    with pytest.raises(LakeUnreadable, match=EVENTS.full_name):
        rows_at_snapshot(TableQuery(SESSIONS, Selection()), Store(settings), snapshot=snapshot)


def test_sessions_are_answered_by_sql_and_by_rest(settings: Settings, lake: SmallLake) -> None:
    lake.publish([an_event(0, "s1"), an_event(1, "s2", hours=1), a_logout(2, "s2", hours=2)], [])
    store = Store(settings)

    counted = sql_answer("select state, count(*) as n from sessions group by state", store, snapshot=store.snapshot())
    with served_here(settings) as api:
        answered = api.get("/v1/sessions", params={"state": "logout", "from": "2026-03-02T00:30:00Z"}).json()["data"]

    assert sorted(counted.rows()) == [("logout", 1), ("open", 1)]
    assert [(row["session_id"], row["duration_seconds"]) for row in answered] == [("s2", 3_600)]
