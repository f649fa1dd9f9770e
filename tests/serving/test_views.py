"""The views over detections: which attacks worked, and the risk of users and addresses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from lakehouse.errors import LakeUnreadable
from lakehouse.settings import Settings
from lakehouse.tables import VIEWS
from lakehouse.tables.gold import ATTACKS, DETECTIONS, ENTITY_RISK, LABELS, LabelValue
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from serving.labels import Label, append_label
from serving.queries import TableQuery, rows_at_snapshot
from serving.selection import Selection
from serving.sql import sql_answer
from serving.store import Store
from serving.views import AFTER, HALF_LIFE, WEIGHTS, score_of, share
from tests.serving.conftest import served_here
from tests.serving.lakes import DAY, SmallLake, a_detection, a_login

FIRST, LAST = DAY, DAY + timedelta(minutes=5)


def a_success(offset: int, **values: Any) -> dict[str, Any]:
    return a_login(offset, **{"outcome": "success", "failure_reason": None, "event_at": LAST} | values)


def rows_of(view: Table, settings: Settings) -> list[dict[str, Any]]:
    store = Store(settings)
    return sorted(store.rows(view, store.snapshot()).collect().to_dicts(), key=repr)


def give_label(settings: Settings, detection_id: str, label: LabelValue, *, minutes: int = 0) -> None:
    store = Store(settings)
    given = Label(detection_id, DAY + timedelta(minutes=minutes), label, note="", author="tests")
    append_label(given, store=store, snapshot=store.snapshot())


def test_logins_from_the_address_during_an_attack_and_a_day_after_it_are_its_successes(
    settings: Settings, lake: SmallLake
) -> None:
    counted = [
        a_success(0, event_at=FIRST, username="b"),
        a_success(1, event_at=LAST + AFTER, username="a", times=2),
        a_success(2, event_at=LAST, username=None),
    ]
    others = [
        a_success(3, event_at=FIRST - timedelta(microseconds=1)),
        a_success(4, event_at=LAST + AFTER + timedelta(microseconds=1)),
        a_success(5, src_ip="192.0.2.2"),
        a_success(6, src_ip=None),
        a_success(7, verdict="duplicate"),
        a_login(8, event_at=LAST),
    ]
    lake.publish([*counted, *others], [a_detection("d1")])

    (attack,) = rows_of(ATTACKS, settings)

    assert (attack["worked"], attack["successes"], attack["first_success_at"]) == (True, 4, FIRST)
    assert json.loads(attack["success_users"]) == ["b", "a"]
    assert json.loads(attack["success_evidence"]) == [["logs", 0, 0], ["logs", 0, 2], ["logs", 0, 1]]


def test_a_user_is_attacked_with_success_only_from_the_addresses_of_the_attack(
    settings: Settings, lake: SmallLake
) -> None:
    logins = [a_success(0), a_success(1, src_ip="192.0.2.9"), a_success(2, username="user0002")]
    evidence = {"evidence_ips": '["192.0.2.1","192.0.2.5"]'}
    of_user = a_detection("d1", entity_type="username", entity="user0001", **evidence)
    lake.publish(logins, [of_user])

    (attack,) = rows_of(ATTACKS, settings)

    assert json.loads(attack["success_evidence"]) == [["logs", 0, 0]]


def test_an_attack_without_a_login_did_not_work(settings: Settings, lake: SmallLake) -> None:
    lake.publish([a_login(0)], [a_detection("d1"), a_detection("d2", status="retracted", retracted_in=1)])

    (attack,) = rows_of(ATTACKS, settings)

    assert (attack["detection_id"], attack["worked"], attack["successes"]) == ("d1", False, 0)
    assert (attack["first_success_at"], attack["success_users"], attack["label"]) == (None, "[]", None)


def test_the_last_label_counts_and_belongs_to_no_snapshot(settings: Settings, lake: SmallLake) -> None:
    lake.publish([a_login(0)], [a_detection("d1")])
    give_label(settings, "d1", "true", minutes=2)
    give_label(settings, "d1", "benign", minutes=1)

    assert [attack["label"] for attack in rows_of(ATTACKS, settings)] == ["true"]


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_lake_without_detections_has_empty_views_with_the_declared_columns(
    settings: Settings, lake: SmallLake, view: Table
) -> None:
    lake.publish([a_login(0)], [])
    store = Store(settings)

    found = store.rows(view, store.snapshot()).collect()

    assert (found.height, found.columns) == (0, list(view.column_names))


def test_a_share_is_the_weight_of_the_severity_halved_with_each_week() -> None:
    assert share("high", age=timedelta(0)) == WEIGHTS["high"]
    assert share("high", age=2 * HALF_LIFE) == pytest.approx(WEIGHTS["high"] / 4)
    assert share("high", age=-HALF_LIFE) == WEIGHTS["high"]
    assert share("high", age=2_000 * HALF_LIFE) == 0


def test_the_score_is_how_likely_one_of_the_detections_matters() -> None:
    assert score_of([]) == 0
    assert score_of([0.6]) == 60
    assert score_of([0.6, 0.3]) == 72  # 1 - 0.4 * 0.7


def test_the_risk_of_an_entity_is_made_of_its_detections_with_reasons_in_words(
    settings: Settings, lake: SmallLake
) -> None:
    week = {"first_at": DAY - HALF_LIFE, "last_at": LAST - HALF_LIFE}
    detections = [
        a_detection("d1"),
        a_detection("d2", severity="medium", rule="password_spray", **week),
        a_detection("d3", entity="192.0.2.2", severity="low"),
        a_detection("d4", entity_type="session_id", entity="s1"),
        a_detection("d5", status="retracted", entity="192.0.2.3"),
    ]
    lake.publish([a_login(0, event_at=LAST)], detections)
    give_label(settings, "d1", "true")

    first, second = rows_of(ENTITY_RISK, settings)

    # 1 - (1 - 0.6) * (1 - 0.3 / 2)
    assert (first["entity"], first["score"], first["level"]) == ("192.0.2.1", 66, "high")
    assert (first["detections"], first["open"], first["last_at"]) == (2, 1, LAST)
    assert json.loads(first["reasons"]) == [
        f"brute_force_ip (high, labeled true), {LAST:%Y-%m-%d %H:%M} UTC: failures 7",
        f"password_spray (medium), {LAST - timedelta(days=7):%Y-%m-%d %H:%M} UTC: failures 7",
    ]
    assert (second["entity"], second["score"], second["level"]) == ("192.0.2.2", 10, "low")


@pytest.mark.parametrize("label", ["false", "benign"])
def test_a_harmless_detection_has_no_share_in_the_risk(settings: Settings, lake: SmallLake, label: LabelValue) -> None:
    lake.publish([a_login(0, event_at=LAST)], [a_detection("d1"), a_detection("d2", severity="low")])
    give_label(settings, "d1", label)

    (risk,) = rows_of(ENTITY_RISK, settings)

    assert (risk["score"], risk["detections"]) == (WEIGHTS["low"] * 100, 1)


def test_views_and_labels_are_tables_in_sql(settings: Settings, lake: SmallLake) -> None:
    lake.publish([a_success(0)], [a_detection("d1")])
    give_label(settings, "d1", "false")
    store = Store(settings)

    rows = sql_answer(
        "select a.rule, a.worked, l.label from attacks a join gold.labels l using (detection_id)",
        store,
        snapshot=store.snapshot(),
    )

    assert rows.rows() == [("brute_force_ip", True, "false")]


@pytest.mark.parametrize("table", [DETECTIONS, EVENTS], ids=["detections", "events"])
def test_a_missing_file_is_an_error_that_names_the_table(settings: Settings, lake: SmallLake, table: Table) -> None:
    snapshot = lake.publish([a_success(0)], [a_detection("d1")])
    for file in Path(settings.table_uri(table.layer, table.name)).rglob("*=*/*.parquet"):
        file.unlink()

    with pytest.raises(LakeUnreadable, match=table.full_name):
        rows_at_snapshot(TableQuery(ATTACKS, Selection()), Store(settings), snapshot=snapshot)


@pytest.fixture
def api(settings: Settings, lake: SmallLake) -> Iterator[httpx.Client]:
    """An API over a lake with an attack that worked."""
    lake.publish([a_success(0)], [a_detection("d1")])
    with served_here(settings) as client:
        yield client


def test_rest_has_attacks_and_risks_with_filters(api: httpx.Client) -> None:
    (attack,) = api.get("/v1/attacks", params={"worked": "true", "from": "2026-01-01T00:00:00Z"}).json()["data"]
    (risk,) = api.get("/v1/entity_risk", params={"entity_type": "src_ip"}).json()["data"]

    assert (attack["detection_id"], attack["success_users"]) == ("d1", ["user0001"])
    assert (risk["entity"], risk["level"]) == ("192.0.2.1", "high")
    assert api.get("/v1/attacks", params={"worked": "false"}).json()["data"] == []


def test_a_label_given_by_rest_changes_the_answers(api: httpx.Client) -> None:
    before = {path: api.get(path) for path in ("/v1/entity_risk", "/v1/tables/gold.labels/rows")}
    body = {"label": "benign", "note": "penetration test", "author": "tests"}

    created = api.post("/v1/detections/d1/labels", json=body)

    assert created.status_code == 201
    assert {name: created.json()["data"][name] for name in body} == body
    after = {path: api.get(path, headers={"If-None-Match": known.headers["ETag"]}) for path, known in before.items()}
    assert [answer.status_code for answer in after.values()] == [200, 200]
    assert [answer.json()["meta"]["rows"] for answer in after.values()] == [0, 1]
    assert [label["note"] for label in api.get("/v1/detections/d1/labels").json()["data"]] == ["penetration test"]
    assert api.get("/v1/attacks").json()["data"][0]["label"] == "benign"


def test_first_labels_that_are_given_at_once_are_all_stored(settings: Settings, lake: SmallLake) -> None:
    lake.publish([a_login(0)], [a_detection("d1")])
    with ThreadPoolExecutor(4) as threads:
        given = [threads.submit(give_label, settings, "d1", "true", minutes=minutes) for minutes in range(4)]
    for each in given:
        each.result()

    assert len({row["labeled_at"] for row in rows_of(LABELS, settings)}) == 4


def test_a_parameter_that_does_not_exist_is_refused_beside_a_label(api: httpx.Client) -> None:
    refused = api.post("/v1/detections/d1/labels", params={"labels": "true"}, json={"label": "true", "author": "tests"})

    assert refused.json()["type"] == "/docs/problems#unknown-parameter"
    assert api.get("/v1/detections/d1/labels").json()["data"] == []


@pytest.mark.parametrize(
    ("path", "body", "status", "named"),
    [
        ("d1", {"label": "maybe", "author": "tests"}, 422, "label: maybe is not one of 'true', 'false' or 'benign'"),
        ("d1", {"label": "true"}, 422, "author is missing"),
        ("d1", {"label": "true", "author": "tests", "more": 1}, 422, "more is not a known field"),
        ("d1", "x", 422, "The body is not a JSON object"),
        ("d1", {"label": "true", "author": ""}, 422, "author is empty"),
        ("d2", {"label": "true", "author": "tests"}, 404, "d2"),
    ],
    ids=["unknown label", "no author", "unknown field", "text", "no name", "no such detection"],
)
def test_a_label_that_is_not_valid_is_a_problem_that_names_why(
    api: httpx.Client, path: str, body: object, status: int, named: str
) -> None:
    refused = api.post(f"/v1/detections/{path}/labels", json=body)

    assert (refused.status_code, refused.headers["Content-Type"]) == (status, "application/problem+json")
    assert named in refused.json()["detail"]
    assert api.get("/v1/attacks").json()["data"][0]["label"] is None
