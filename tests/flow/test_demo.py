"""`loginlake demo --once` as a new user runs it, and then what one asks the lake that it leaves."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from deltalake import DeltaTable

from tests.conftest import a_free_port
from tests.loginlake.command_line import LoginlakeProcess

pytestmark = pytest.mark.slow

REPORT = ("query", "ip_activity", "--every", "day", "--format", "csv", "--limit", "5")
READY_SECONDS = 60


@pytest.fixture(scope="module")
def demoed(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> LoginlakeProcess:
    """The command in a folder that holds what the demo left."""
    environment = {
        "LOGINLAKE_KAFKA": kafka,
        "LOGINLAKE_TOPIC": f"demo-{uuid4().hex[:8]}",
        "LOGINLAKE_PORT": str(a_free_port()),
    }
    loginlake = LoginlakeProcess(tmp_path_factory.mktemp("demo"), environment)
    done = loginlake("demo", "--once", timeout=600)
    assert done.returncode == 0, done.stderr
    (loginlake.folder / "said.txt").write_text(done.stdout)
    return loginlake


@contextmanager
def served(loginlake: LoginlakeProcess) -> Iterator[httpx.Client]:
    """A client of `loginlake serve`."""
    process = loginlake.start("serve")
    with httpx.Client(base_url=f"http://127.0.0.1:{loginlake.environment['LOGINLAKE_PORT']}") as client:
        try:
            _await_ready(client)
            yield client
        finally:
            process.terminate()
            process.communicate(timeout=READY_SECONDS)


def _await_ready(client: httpx.Client) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            client.get("/livez")
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the API did not start")


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_demo_proves_the_lake_and_shows_what_it_found(demoed: LoginlakeProcess) -> None:
    said = (demoed.folder / "said.txt").read_text()

    assert "verify: ok" in said.splitlines()
    brute_force = next(line.split() for line in said.splitlines() if line.strip().startswith("brute_force "))
    assert int(brute_force[1]) == int(brute_force[2]) > 0
    counts = {name: int(rows.replace(",", "")) for name, rows in re.findall(r"(\w+) +([\d,]+) *$", said, re.MULTILINE)}
    assert counts["kafka"] == counts["bronze"] == counts["silver"] == 25_000
    assert sum(counts[verdict] for verdict in ("accepted", "broken", "duplicate", "ignored")) == 25_000
    assert min(counts[verdict] for verdict in ("accepted", "broken", "duplicate", "ignored")) > 0


def test_attempts_per_address_are_one_command_away(demoed: LoginlakeProcess) -> None:
    reported = demoed.in_this_process()(*REPORT)

    assert reported.returncode == 0, reported.stderr
    rows = rows_of(reported.stdout)
    assert len(rows) == 5
    assert all(int(row["attempts"]) > 0 for row in rows)


def test_an_earlier_snapshot_gives_earlier_figures_and_rest_the_same(demoed: LoginlakeProcess) -> None:
    loginlake = demoed.in_this_process()
    snapshots = json.loads(loginlake("query", "snapshots", "--json").stdout)
    first = next(row for row in snapshots if row["id"] == 1)
    now, then = (rows_of(loginlake(*REPORT, *more).stdout) for more in ((), ("--snapshot", "1")))
    assert then != now

    with served(demoed) as api:
        asked = {"every": "day", "limit": "5", "as_of": first["at"]}
        answer = api.get("/v1/metrics/ip_activity", params=asked, headers={"accept": "text/csv"})

    assert answer.status_code == 200
    assert rows_of(answer.text) == then


def test_the_api_answers_where_spark_is_not_installed(demoed: LoginlakeProcess) -> None:
    with served(demoed.without("pyspark", "delta", "py4j")) as api:
        answer = api.get("/v1/metrics/ip_activity?every=day&order_by=-attempts&limit=5")
        refused = [
            api.get(f"/v1/metrics/ip_activity?{query}") for query in ("every=year", "limit=0", "from=soon", "x=1")
        ]

    attempts = [row["attempts"] for row in answer.json()["data"]]
    assert answer.status_code == 200
    assert len(attempts) == 5
    assert attempts == sorted(attempts, reverse=True)
    assert all(400 <= problem.status_code < 500 for problem in refused)
    assert {problem.headers["content-type"] for problem in refused} == {"application/problem+json"}


def test_verify_works_where_spark_is_not_installed(demoed: LoginlakeProcess) -> None:
    verified = demoed.without("pyspark", "delta", "py4j")("verify", "--json")

    report = json.loads(verified.stdout)
    assert verified.returncode == 0
    assert report["ok"]
    assert all(check["holds"] for check in report["checks"])


def test_a_refresh_without_news_publishes_nothing(demoed: LoginlakeProcess) -> None:
    loginlake = demoed.in_this_process()
    before = loginlake("query", "snapshots", "--json").stdout

    assert demoed("refresh").stdout == "Nothing new: the last snapshot covers all\n"
    assert loginlake("query", "snapshots", "--json").stdout == before


def test_a_deleted_silver_row_is_found_and_its_position_named(demoed: LoginlakeProcess) -> None:
    events = DeltaTable(Path(demoed.folder) / "data" / "lake" / "silver" / "events")
    topic = demoed.environment["LOGINLAKE_TOPIC"]
    events.delete('"partition" = 1 AND "offset" = 17')

    verified = demoed.in_this_process()("verify")

    assert verified.returncode == 3
    assert f"{topic}:1:17 missing" in verified.stdout
