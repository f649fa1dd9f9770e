"""Bad input: always a problem of the right type, in one shape."""

from __future__ import annotations

import re

import httpx
import pytest

from lakehouse.errors import LakehouseError
from serving.problems import KIND_OF_ERROR, KINDS

IPS = "/v1/metrics/ip_activity"
ROWS = "/v1/tables/silver.events/rows"
BAD = [
    (f"{IPS}?nope=1", 400, "unknown-parameter"),
    (f"{IPS}?username=user0001", 400, "unknown-parameter"),
    (f"{IPS}?limit=1&limit=2", 400, "unknown-parameter"),
    (f"{IPS}?live=true", 400, "unknown-parameter"),
    ("/livez?x=1", 400, "unknown-parameter"),
    ("/v1/metrics?limit=1", 400, "unknown-parameter"),
    ("/nope", 404, "not-found"),
    ("/v1/metrics/nope", 404, "not-found"),
    ("/v1/metrics/..", 404, "not-found"),
    ("/v1/metrics/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404, "not-found"),
    ("/v1/metrics/%00", 404, "not-found"),
    ("/v1/tables/%2e%2e/rows", 404, "not-found"),
    ("/v1/tables/events/rows", 404, "not-found"),
    (f"/v1/tables/{'x' * 30_000}", 404, "not-found"),
    ("/v1/detections/none", 404, "not-found"),
    (f"{ROWS}?version=99", 404, "not-found"),
    (f"{ROWS}?version={2**63 - 1}", 404, "not-found"),
    (f"{ROWS}?version=-1", 422, "bad-value"),
    (f"{ROWS}?version=1_0", 422, "bad-value"),
    (f"{ROWS}?version=1e3", 422, "bad-value"),
    (f"{ROWS}?version=٣", 422, "bad-value"),
    (f"{ROWS}?version={2**64}", 422, "bad-value"),
    (f"{ROWS}?version=%2B1", 422, "bad-value"),
    (f"{ROWS}?version=", 422, "bad-value"),
    (f"{ROWS}?version=0&version=0", 400, "unknown-parameter"),
    (f"{ROWS}?version=0&snapshot=1", 422, "bad-value"),
    ("/v1/detections?severity=hgh", 422, "bad-value"),
    ("/v1/detections?rule__ne=brute_force", 422, "bad-value"),
    ("/v1/attacks?label=yes", 422, "bad-value"),
    ("/v1/entity_risk?level=bad", 422, "bad-value"),
    ("/v1/sessions?state=closed", 422, "bad-value"),
    ("/v1/metrics/failure_reasons?reason=none", 422, "bad-value"),
    (f"{IPS}?limit=0", 422, "bad-value"),
    (f"{IPS}?limit=-1", 422, "bad-value"),
    (f"{IPS}?limit=1000000000", 422, "bad-value"),
    (f"{IPS}?every=year", 422, "bad-value"),
    (f"{IPS}?order_by=nope", 422, "bad-value"),
    (f"{IPS}?order_by=attempts,-attempts", 422, "bad-value"),
    (f"{IPS}?order_by=", 422, "bad-value"),
    (f"{IPS}?format=xml", 422, "bad-value"),
    (f"{IPS}?from=tomorow", 422, "bad-value"),
    (f"{IPS}?from=20260302", 422, "bad-value"),
    (f"{IPS}?from=2026-02-30T00:00:00Z", 422, "bad-value"),
    (f"{IPS}?from=0001-01-01T00:00:00%2B14:00", 422, "bad-value"),
    (f"{IPS}?from=-9999999d", 422, "bad-value"),
    (f"{IPS}?from=7d", 422, "bad-value"),
    (f"{IPS}?from=2026-03-02T00:00:00Z&to=2026-03-02T00:00:00Z", 422, "bad-value"),
    (f"{IPS}?from=2026-03-03T00:00:00Z&to=2026-03-02T00:00:00Z", 422, "bad-value"),
    (f"{IPS}?from=2026-06-30T23:59:60Z", 422, "bad-value"),
    (f"{IPS}?from=", 422, "bad-value"),
    (f"{IPS}?limit=٣", 422, "bad-value"),
    (f"{IPS}?cursor=forged", 400, "unknown-parameter"),
    (f"{IPS}?as_of=2026-03-03T00:00:00Z&as_of=2026-03-03T00:00:00Z", 400, "unknown-parameter"),
    (f"{IPS}?as_of=2026-W10", 422, "bad-value"),
    (f"{IPS}?as_of=2026-03-03T00:00:00Z&snapshot=1", 422, "bad-value"),
    (f"{IPS}?as_of=9999-12-31T23:59:59Z", 422, "in-future"),
    (f"{IPS}?as_of=1970-01-01T00:00:00Z", 404, "snapshot-missing"),
    (f"{IPS}?snapshot=99", 404, "snapshot-missing"),
    ("/v1/snapshots/99", 404, "snapshot-missing"),
    ("/v1/snapshots/1_0", 422, "bad-value"),
]


@pytest.mark.parametrize(("url", "status", "kind"), BAD)
def test_bad_input_is_a_problem_with_a_hint(api: httpx.Client, url: str, status: int, kind: str) -> None:
    answer = api.get(url)

    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (status, status)
    assert problem["type"] == f"/docs/problems#{kind}"
    assert set(problem) - {"oldest"} == {"type", "title", "status", "detail", "hint"}
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Request-ID"]
    assert len(answer.content) < 2_500


def test_an_unknown_value_of_a_closed_list_is_answered_with_the_allowed_ones(api: httpx.Client) -> None:
    problem = api.get("/v1/detections?severity=hgh").json()

    assert problem["detail"] == "severity: 'hgh' is not a known value"
    assert problem["hint"] == "Did you mean high? Use one of low, medium, high, critical"


def test_an_instant_before_the_first_snapshot_is_a_problem_that_names_the_oldest(api: httpx.Client) -> None:
    assert api.get(IPS, params={"as_of": "1970-01-01T00:00:00Z"}).json()["oldest"] == 1


@pytest.mark.parametrize(
    "query",
    [
        "as_of=1970-01-01T00:00:00Z",
        "as_of=9999-12-31T23:59:59Z",
        "from=2026-03-03T01:00:00%2B01:00&to=2026-03-02",
    ],
)
def test_an_instant_in_a_problem_can_be_copied_into_a_url(api: httpx.Client, query: str) -> None:
    problem = api.get(f"{IPS}?{query}").json()
    instants = re.findall(r"\d{4}-[\d-]+T[\d:.]+Z", text := problem["detail"] + problem["hint"])

    assert instants
    assert "+00:00" not in text
    for instant in instants:
        assert "is not a time" not in api.get(f"{IPS}?as_of={instant}").text


def test_another_method_is_a_problem_of_the_same_shape(api: httpx.Client) -> None:
    answer = api.post(IPS)

    assert answer.json()["type"] == "/docs/problems#method-not-allowed"
    assert answer.headers["Allow"] == "GET"


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("text/html", 406),
        ("application/json;q=0", 406),
        (";;,,=", 406),
        ("text/csv;q=x", 406),
        ("*/*", 200),
        ("TEXT/*", 200),
        ("text/csv;q=nan", 406),
    ],
)
def test_a_malformed_accept_header_accepts_nothing(api: httpx.Client, accept: str, status: int) -> None:
    assert api.get(IPS, headers={"Accept": accept}).status_code == status


JSON_ONLY = [
    *("/v1/metrics", "/v1/tables", "/v1/tables/silver.events", "/v1/tables/silver.events/history"),
    *("/v1/snapshots", "/v1/snapshots/1", "/v1/freshness"),
]


@pytest.mark.parametrize("path", JSON_ONLY)
def test_a_resource_that_is_written_only_as_json_refuses_other_formats(api: httpx.Client, path: str) -> None:
    for accept in ("application/xml", "text/csv", "application/json;q=0, */*"):
        refused = api.get(path, headers={"Accept": accept})

        assert (refused.status_code, refused.json()["type"]) == (406, "/docs/problems#not-acceptable")
        assert refused.json()["hint"] == "Accept application/json"
    for accept in ("*/*", "application/*", "text/csv, application/json;q=0.1"):
        assert api.get(path, headers={"Accept": accept}).headers["Content-Type"] == "application/json"
    without_header = api.build_request("GET", path)
    del without_header.headers["Accept"]
    assert api.send(without_header).headers["Content-Type"] == "application/json"


def test_a_label_that_could_not_be_confirmed_in_json_is_not_written(api: httpx.Client) -> None:
    path, body = "/v1/detections/d1/labels", {"label": "true", "author": "ada"}

    assert api.post(path, json=body, headers={"Accept": "text/csv"}).status_code == 406
    assert api.get(path).json()["data"] == []


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/docs", "/openapi.json"])
def test_the_probes_and_the_docs_ignore_the_accept_header(api: httpx.Client, path: str) -> None:
    assert api.get(path, headers={"Accept": "application/xml"}).status_code == 200


def test_a_range_header_is_ignored(api: httpx.Client) -> None:
    assert api.get(IPS, headers={"Range": "bytes=0-1"}).status_code == 200


def test_the_type_of_each_problem_links_to_a_heading(api: httpx.Client) -> None:
    page = api.get("/docs/problems").text

    assert [kind.slug for kind in KINDS if f'<h2 id="{kind.slug}">' not in page] == []


def test_each_error_precedes_its_parent_in_the_list_of_kinds() -> None:
    types = [error for error, _ in KIND_OF_ERROR]

    assert all(issubclass(error, LakehouseError) for error in types)
    assert not any(issubclass(later, earlier) for n, earlier in enumerate(types) for later in types[n + 1 :])
