"""The API over HTTP, over a lake with two snapshots."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from lakehouse.settings import Settings
from lakehouse.tables import TABLES
from lakehouse.tables.metrics import METRICS
from lakehouse.tables.silver import EVENTS
from serving.app import create_app
from serving.problems import KINDS
from tests.serving.conftest import served_here, wait_until
from tests.serving.lakes import DAY, SmallLake, a_detection, a_login

DOCS = Path(__file__).parents[2] / "docs" / "api.md"
IPS = "/v1/metrics/ip_activity"


def test_the_default_order_is_the_newest_window_and_the_most_attempts_first(api: httpx.Client) -> None:
    answer = api.get(IPS, params={"every": "day"}).json()

    assert [(row["src_ip"], row["attempts"]) for row in answer["data"]] == [
        ("198.51.100.7", 4),
        ("192.0.2.1", 3),
        (None, 1),
    ]
    assert answer["next"] is None
    assert answer["meta"]["metric"] == "ip_activity"
    assert answer["meta"]["rows"] == 3


def test_windows_that_are_not_stored_are_computed_from_the_base(api: httpx.Client) -> None:
    rows = api.get(IPS, params={"every": "hour", "from": "2026-03-02T01:00:00Z"}).json()["data"]

    assert [(row["window_at"], row["attempts"], row["successes"]) for row in rows] == [("2026-03-02T05:00:00Z", 1, 1)]


def test_a_window_may_be_a_week_or_a_month(api: httpx.Client) -> None:
    answers = [api.get(IPS, params={"every": every, "src_ip": "192.0.2.1"}).json() for every in ("week", "month")]

    assert [answer["meta"]["every"] for answer in answers] == ["week", "month"]
    assert [[(row["window_on"], row["attempts"]) for row in answer["data"]] for answer in answers] == [
        [("2026-03-02", 3)],
        [("2026-03-01", 3)],
    ]


def test_a_snapshot_has_the_same_earlier_rows_by_id_and_by_instant(api: httpx.Client) -> None:
    now = api.get(IPS).json()["data"]
    by_id = api.get(IPS, params={"snapshot": "1"})
    by_instant = api.get(IPS, params={"as_of": "2026-03-03T00:00:00Z"})

    assert by_id.json()["data"] == by_instant.json()["data"] != now
    assert by_id.headers["Loginlake-Snapshot"] == by_instant.headers["Loginlake-Snapshot"] == "1"


def test_an_answer_states_what_it_covers_and_that_the_broker_does_not_answer(api: httpx.Client) -> None:
    assert api.get(IPS).json()["meta"]["freshness"] == {
        "snapshot": 2,
        "at": "2026-03-03T01:00:00Z",
        "offsets": {"logs": {"0": 8}},
        "behind_seconds": None,
        "live": False,
        "complete": False,
    }


@pytest.mark.parametrize(
    ("query", "addresses"),
    [
        ("src_ip=192.0.2.1", ["192.0.2.1"]),
        ("src_ip=192.0.2.1&src_ip=198.51.100.7", ["198.51.100.7", "192.0.2.1"]),
        ("src_ip=", [None]),
        ("src_ip__ne=192.0.2.1", ["198.51.100.7", None]),
        ("src_ip=' OR 1=1", []),
        ("src_ip=%00", []),
        ("order_by=attempts,src_ip", [None, "192.0.2.1", "198.51.100.7"]),
        ("order_by=src_ip&limit=1", ["192.0.2.1"]),
        ("from=2026-03-02T00:00:00Z&to=2026-03-02T00:00:00.000001Z", ["198.51.100.7", "192.0.2.1", None]),
        ("to=2026-03-02T00:00:00Z", []),
        ("from=2026-03-02T01:00:00%2B01:00&to=9999-12-31T00:00:00Z&limit=1", ["198.51.100.7"]),
        ("from=-7d", []),
        ("from=2026-03-02&to=2026-03-03&limit=1", ["198.51.100.7"]),
        ("from=yesterday", []),
        ("to=today&as_of=-5m&limit=1", ["198.51.100.7"]),
        ("to=2026-03-02%2000:00", []),
    ],
)
def test_filters_period_order_and_limit_select_the_rows(api: httpx.Client, query: str, addresses: list[str]) -> None:
    answer = api.get(f"{IPS}?{query}")

    assert [row["src_ip"] for row in answer.json()["data"]] == addresses


def test_csv_has_a_header_and_the_same_rows(api: httpx.Client) -> None:
    by_parameter = api.get(IPS, params={"format": "csv"})
    by_header = api.get(IPS, headers={"Accept": "text/csv;q=0.9, application/json;q=0.1"})

    rows = list(csv.DictReader(io.StringIO(by_parameter.text)))
    assert [(row["src_ip"], row["attempts"]) for row in rows] == [("198.51.100.7", "4"), ("192.0.2.1", "3"), ("", "1")]
    assert by_header.text == by_parameter.text
    assert by_header.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert by_header.headers["Vary"] == "Accept"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("text/csv, application/json", "text/csv"),
        ("application/json;q=0, */*", "text/csv"),
        ("application/json;q=0.1, */*;q=0.9", "text/csv"),
        ("text/*, application/json;q=0.5", "text/csv"),
    ],
)
def test_the_weight_of_a_format_is_that_of_the_most_specific_range(
    api: httpx.Client, accept: str, media_type: str
) -> None:
    assert api.get(IPS, headers={"Accept": accept}).headers["Content-Type"].startswith(media_type)


def test_an_unchanged_answer_is_not_sent_twice(api: httpx.Client) -> None:
    tag = api.get(IPS, params={"order_by": "src_ip"}).headers["ETag"]

    again = api.get(IPS, params={"order_by": "src_ip"}, headers={"If-None-Match": f'"other", {tag}'})
    other = api.get(IPS, params={"order_by": "-src_ip"}, headers={"If-None-Match": tag})
    older = api.get(IPS, params={"order_by": "src_ip", "snapshot": "1"}, headers={"If-None-Match": tag})

    assert (again.status_code, again.content) == (304, b"")
    assert (other.status_code, older.status_code) == (200, 200)


@pytest.mark.parametrize("path", [IPS, "/livez", "/docs", "/v1/metrics/nothing"])
def test_head_has_the_headers_of_get_and_no_body(api: httpx.Client, path: str) -> None:
    get, head = api.get(path), api.head(path)

    assert head.status_code == get.status_code
    assert head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(get.content))
    assert head.content == b""


def test_a_detection_has_its_evidence_as_json_values(api: httpx.Client) -> None:
    listed = api.get("/v1/detections", params={"rule": "brute_force_ip", "from": "2026-03-02T00:00:00Z"}).json()["data"]
    one = api.get("/v1/detections/d1").json()["data"]

    assert listed == one
    assert one[0]["evidence"] == [["logs", 0, 1]]
    assert one[0]["measures"] == {"failures": 7}
    assert api.get("/v1/detections", params={"snapshot": "1"}).json()["data"] == []


def test_the_events_of_a_detection_are_those_of_its_evidence_oldest_first(settings: Settings, lake: SmallLake) -> None:
    later = DAY + timedelta(hours=5)
    lake.publish(
        [a_login(0), a_login(1, event_at=later), a_login(2), a_login(3)],
        [a_detection("d1", evidence='[["logs",0,1],["logs",0,2],["others",0,3]]')],
    )

    with served_here(settings) as api:
        rows = api.get("/v1/detections/d1/events").json()["data"]
        first = api.get("/v1/detections/d1/events", params={"limit": "1"}).json()["data"]
        missing = api.get("/v1/detections/d2/events")

    assert [row["offset"] for row in rows] == [2, 1]
    assert first == rows[:1]
    assert missing.status_code == 404


def test_bronze_at_a_snapshot_has_the_records_below_its_offsets(api: httpx.Client) -> None:
    rows = api.get("/v1/tables/bronze.raw_logs/rows", params={"snapshot": "1"}).json()["data"]

    assert [row["offset"] for row in rows] == [0, 1, 2]
    assert rows[0]["value"] == "/3t9"
    assert rows[0]["headers"] == [{"key": "format", "value": "bG9naW4="}]


def test_the_list_of_snapshots_can_be_read_as_of_a_snapshot(api: httpx.Client) -> None:
    rows = api.get("/v1/tables/gold.snapshots/rows", params={"snapshot": "1"}).json()["data"]

    assert [row["id"] for row in rows] == [1]


def test_a_version_of_one_table_can_be_inspected(api: httpx.Client) -> None:
    history = api.get("/v1/tables/silver.events/history").json()["data"]
    rows = api.get("/v1/tables/silver.events/rows", params={"version": "0", "limit": "2"}).json()

    assert [commit["version"] for commit in history] == [1, 0]
    assert history[0]["operation"] == "WRITE"
    assert [row["offset"] for row in rows["data"]] == [0, 1]
    assert rows["meta"] == {"table": "silver.events", "version": 0, "rows": 2}


def test_the_catalogues_list_every_metric_table_and_snapshot(api: httpx.Client) -> None:
    metrics = api.get("/v1/metrics").json()["data"]
    tables = api.get("/v1/tables").json()["data"]
    events = api.get("/v1/tables/silver.events").json()["data"]
    listed = api.get("/v1/snapshots").json()
    snapshots = listed["data"]
    first = api.get("/v1/snapshots/1").json()

    assert [metric["name"] for metric in metrics] == [metric.name for metric in METRICS]
    assert [table["name"] for table in tables] == list(TABLES)
    assert tuple(column["name"] for column in events["columns"]) == EVENTS.column_names
    assert [snapshot["id"] for snapshot in snapshots] == [2, 1]
    assert first["data"] == snapshots[1]
    assert [answer["meta"]["freshness"]["snapshot"] for answer in (listed, first)] == [2, 1]


def test_freshness_lists_each_partition(api: httpx.Client) -> None:
    answer = api.get("/v1/freshness").json()

    assert answer["data"] == [{"topic": "logs", "partition": 0, "covered": 8, "end": None}]


def test_the_probes_report_that_the_api_is_alive_and_ready(api: httpx.Client, published: Settings) -> None:
    assert api.get("/livez").json() == {"status": "alive", "root": published.full_root}
    assert api.get("/readyz").json() == {"status": "ready", "snapshot": 2}


def test_the_docs_load_nothing_from_another_host(api: httpx.Client) -> None:
    page = api.get("/docs")

    assert api.get("/").headers["Location"] == "/docs"
    assert "http" not in page.text.replace("http-equiv", "")
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"):
        assert f"/docs/assets/{asset}" in page.text
        assert api.get(f"/docs/assets/{asset}").status_code == 200


def test_a_request_keeps_a_plain_id_and_gets_a_new_one_otherwise(api: httpx.Client) -> None:
    assert api.get("/livez", headers={"X-Request-ID": "mine-1"}).headers["X-Request-ID"] == "mine-1"
    assert len(api.get("/livez", headers={"X-Request-ID": "forged\tid"}).headers["X-Request-ID"]) == 32


def test_a_request_is_logged_with_its_method_and_route_but_not_with_what_it_asks_for(api: httpx.Client) -> None:
    with capture_logs() as events:
        api.head("/v1/metrics/ip_activity?src_ip=192.0.2.1")
        api.post("/v1/detections/none/labels", json={"label": "true", "author": "tests"})
        wait_until(lambda: len(events) == 2)

    assert [(event["method"], event["route"], event["status"]) for event in events] == [
        ("HEAD", "/v1/metrics/{metric}", 200),
        ("POST", "/v1/detections/{detection_id}/labels", 404),
    ]
    assert "192.0.2.1" not in str(events)


def test_every_route_and_every_kind_of_problem_is_documented() -> None:
    paths = create_app(Settings(_env_file=None)).openapi()["paths"]
    text = DOCS.read_text()

    assert [path for path in paths if f"GET {path}`" not in text] == []
    assert [kind.slug for kind in KINDS if f"`{kind.slug}` | {kind.status}" not in text] == []


def test_openapi_lists_each_parameter_of_a_metric_once(api: httpx.Client) -> None:
    route = api.get("/openapi.json").json()["paths"]["/v1/metrics/{metric}"]["get"]

    names = [parameter["name"] for parameter in route["parameters"]]
    assert {"metric", "every", "from", "src_ip", "username__ne", "order_by", "as_of", "format"} <= set(names)
    assert len(names) == len(set(names))


def test_openapi_and_the_catalogue_list_the_values_of_a_closed_list(api: httpx.Client) -> None:
    route = api.get("/openapi.json").json()["paths"]["/v1/entity_risk"]["get"]
    (level,) = (parameter for parameter in route["parameters"] if parameter["name"] == "level")
    columns = {column["name"]: column for column in api.get("/v1/tables/gold.detections").json()["data"]["columns"]}

    assert level["schema"]["items"]["enum"] == ["low", "medium", "high", "critical", ""]
    assert columns["status"]["values"] == ["confirmed", "retracted"]
    assert "brute_force_ip" in columns["rule"]["values"]
    assert "values" not in columns["entity"]
