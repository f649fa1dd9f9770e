"""`loginlake demo --once` as a new user runs it, and commands that read the lake that it leaves."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from tests.conftest import a_free_port
from tests.loginlake.command_line import Loginlake, LoginlakeProcess
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

REPORT = ("query", "ip_activity", "--every", "day", "--format", "csv", "--limit", "5")
START_SECONDS = 60
SPARK_MODULES = ("pyspark", "delta", "py4j")


@dataclass(frozen=True)
class Demo:
    """A finished demo.

    Attributes:
        process: The command line as a process, in the folder of the demo.
        output: What `loginlake demo --once` printed.
    """

    process: LoginlakeProcess
    output: str

    @property
    def loginlake(self) -> Loginlake:
        """The command line in this process, in the folder of the demo."""
        return self.process.in_this_process()


@pytest.fixture(scope="module")
def demo(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    environment = {
        "LOGINLAKE_KAFKA": kafka,
        "LOGINLAKE_TOPIC": f"demo-{uuid4().hex[:8]}",
        "LOGINLAKE_PORT": str(a_free_port()),
        "PYSPARK_SUBMIT_ARGS": "pyspark-shell",  # Spark's settings are the user's, not those of tests
    }
    process = LoginlakeProcess(tmp_path_factory.mktemp("demo"), environment)
    ended = process("demo", "--once", timeout=600)
    assert ended.returncode == 0, ended.stderr
    return Demo(process, ended.stdout)


@contextmanager
def serving(loginlake: LoginlakeProcess) -> Iterator[httpx.Client]:
    """Run `loginlake serve` for the block and yield a client of it."""
    process = loginlake.start("serve")
    with httpx.Client(base_url=f"http://127.0.0.1:{loginlake.environment['LOGINLAKE_PORT']}", timeout=30) as client:

        def is_alive() -> bool:
            try:
                return client.get("/livez").is_success
            except httpx.TransportError:
                return False

        try:
            wait_until(is_alive, process, seconds=START_SECONDS)
            yield client
        finally:
            process.terminate()
            process.communicate(timeout=START_SECONDS)


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_demo_verifies_the_lake_and_prints_what_it_found(demo: Demo) -> None:
    lines = demo.output.splitlines()

    assert "verify: ok" in lines
    brute_force = next(line.split() for line in lines if line.strip().startswith("brute_force "))
    assert int(brute_force[1]) == int(brute_force[2]) > 0
    counts = {
        name: int(rows.replace(",", "")) for name, rows in re.findall(r"(\w+) +([\d,]+) *$", demo.output, re.MULTILINE)
    }
    assert counts["kafka"] == counts["bronze"] == counts["silver"] == 25_000
    assert sum(counts[verdict] for verdict in ("accepted", "broken", "duplicate", "ignored")) == 25_000
    assert min(counts[verdict] for verdict in ("accepted", "broken", "duplicate", "ignored")) > 0


def test_a_query_reports_attempts_per_address(demo: Demo) -> None:
    report = demo.loginlake(*REPORT)

    assert report.returncode == 0, report.stderr
    rows = rows_of(report.stdout)
    assert len(rows) == 5
    assert all(int(row["attempts"]) > 0 for row in rows)


def test_the_api_answers_like_a_query_and_refuses_wrong_parameters_without_spark_installed(demo: Demo) -> None:
    snapshots = json.loads(demo.loginlake("query", "snapshots", "--json").stdout)
    first = next(row for row in snapshots if row["id"] == 1)
    rows, first_rows = (rows_of(demo.loginlake(*REPORT, *more).stdout) for more in ((), ("--snapshot", "1")))
    assert first_rows != rows

    with serving(demo.process.without(*SPARK_MODULES)) as api:
        params = {"every": "day", "limit": "5", "as_of": first["at"]}
        csv_answer = api.get("/v1/metrics/ip_activity", params=params, headers={"accept": "text/csv"})
        answer = api.get("/v1/metrics/ip_activity?every=day&order_by=-attempts&limit=5")
        refusals = [
            api.get(f"/v1/metrics/ip_activity?{query}") for query in ("every=year", "limit=0", "from=soon", "x=1")
        ]

    assert rows_of(csv_answer.text) == first_rows
    attempts = [row["attempts"] for row in answer.json()["data"]]
    assert len(attempts) == 5
    assert attempts == sorted(attempts, reverse=True)
    assert [refusal.status_code for refusal in refusals] == [422, 422, 422, 400]
    assert {refusal.headers["content-type"] for refusal in refusals} == {"application/problem+json"}


def test_verify_works_without_spark_installed(demo: Demo) -> None:
    ended = demo.process.without(*SPARK_MODULES)("verify", "--json")

    report = json.loads(ended.stdout)
    assert ended.returncode == 0
    assert report["ok"]
    assert report["checks"]


def test_a_refresh_without_new_records_publishes_nothing(demo: Demo, spark: SparkSession) -> None:
    # The session runs in another folder, where the relative path of the lake would be another lake.
    root = demo.process.folder / "data" / "lake"
    loginlake = demo.loginlake.with_session(spark).with_environment(LOGINLAKE_ROOT=str(root))
    before = loginlake("query", "snapshots", "--json").stdout

    refresh = loginlake("refresh")

    assert refresh.returncode == 0, refresh.stderr
    assert refresh.stdout.startswith("Nothing new")
    assert loginlake("query", "snapshots", "--json").stdout == before


def test_verify_names_the_position_of_a_deleted_silver_row(demo: Demo, tmp_path: Path) -> None:
    copy = shutil.copytree(demo.process.folder, tmp_path / "copy")
    DeltaTable(copy / "data" / "lake" / "silver" / "events").delete('"partition" = 1 AND "offset" = 17')

    ended = replace(demo.loginlake, folder=copy)("verify")

    assert ended.returncode == 3
    assert f"{demo.process.environment['LOGINLAKE_TOPIC']}:1:17 missing" in ended.stdout
