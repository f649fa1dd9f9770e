"""The whole flow on a standalone Spark cluster and on S3, while executors and a worker are killed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from lakehouse.lake import CHECKPOINTS
from tests.cluster.conftest import Machine, new_machine
from tests.cluster.seaweedfs import files_below
from tests.cluster.standalone import WORKERS, Cluster
from tests.conftest import a_free_port
from tests.silver.records import a_login
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

# In each of two rounds. Most of them are generated; one source has the others, 30 % of all.
EVENTS = 10_000
SKEWED = 3_000
SOURCE = "198.51.100.7"
REPORT = ("query", "ip_activity", "--every", "day", "--format", "csv")
# Events of the first day are broken until a redrive allows older ones.
DECODED_DAYS = {"LOGINLAKE_MAX_EVENT_AGE_DAYS": "2"}


@dataclass(frozen=True)
class Grown:
    """A lake on S3 that two refreshes on the cluster have published, while executors were killed.

    Attributes:
        machine: It runs commands on the lake.
        first: The id of the snapshot of the first round.
        answer: What a query answered then.
        run: Runs steps on the cluster, in the session of the driver that has run the others.
    """

    machine: Machine
    first: int
    answer: str
    run: Callable[..., None]


@pytest.fixture(scope="module")
def grown(
    store: dict[str, str],
    kafka: str,
    cluster_environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Grown]:
    ours = cluster_environment | DECODED_DAYS | {"LOGINLAKE_PORT": str(a_free_port())}
    machine = new_machine(store, kafka, tmp_path_factory.mktemp("grown"), **ours)
    lake = machine.environment["LOGINLAKE_ROOT"].rpartition("/")[2]
    send_round(machine, 1)
    with machine.driver_session() as run:
        run("bronze!executor", "silver!executor", "gold!base")  # of an empty gold: a rebuild
        (snapshot,) = rows(machine, "snapshots")
        answer = machine.read(*REPORT).stdout
        send_round(machine, 2)
        run("bronze", "refresh!checkpoints")
        yield Grown(machine, snapshot["id"], answer, run)
    assert files_below(store, lake)
    assert files_below(store, f"{lake}/{CHECKPOINTS}") == []


def send_round(machine: Machine, number: int) -> None:
    """Send the events of a round."""
    machine.send(events=EVENTS - SKEWED, seed=number)
    send_skewed(machine, number)


def send_skewed(machine: Machine, number: int) -> None:
    """Send logins of one source, five seconds apart until now, by replaying a file of them."""
    file, now = machine.folder / f"skewed-{number}.ndjson", datetime.now(UTC)
    logins = (
        a_login(
            event_id=f"skewed-{number}-{nth}",
            event_at=(now - nth * timedelta(seconds=5)).isoformat(),
            outcome="success" if nth % 100 == 0 else "failure",
            username=f"user{nth % 50}",
            src_ip=SOURCE,
            app="vpn",
        )
        for nth in range(SKEWED)
    )
    file.write_bytes(b"\n".join(logins))
    sent = machine.read("produce", "replay", str(file))
    assert sent.returncode == 0, sent.stderr


@contextmanager
def serving(machine: Machine) -> Iterator[httpx.Client]:
    """Run `loginlake serve` for the block and yield a client of it."""
    url = f"http://127.0.0.1:{machine.environment['LOGINLAKE_PORT']}"
    with machine.running("serve") as process, httpx.Client(base_url=url, timeout=30) as client:

        def is_ready() -> bool:
            try:
                return client.get("/readyz").is_success
            except httpx.TransportError:
                return False

        wait_until(is_ready, process, seconds=60)
        yield client


def rows(machine: Machine, *words: str) -> list[dict[str, Any]]:
    """Return what a query answers."""
    return json.loads(machine.read("query", *words, "--json").stdout)


def attempts(machine: Machine) -> int:
    """Return the attempts that the last snapshot counts."""
    return sum(row["attempts"] for row in rows(machine, "app_activity", "--every", "day"))


def test_two_executors_fill_a_lake_of_which_no_record_is_missing(grown: Grown, cluster: Cluster) -> None:
    assert set(cluster.workers_of_applications().values()) == {WORKERS}

    report = json.loads(grown.machine.verified("--deep", "--json"))

    assert report["layers"] == {"kafka": 2 * EVENTS, "bronze": 2 * EVENTS, "silver": 2 * EVENTS}


def test_a_redrive_a_rebuild_without_one_worker_and_maintenance_leave_what_was_published(
    grown: Grown, cluster: Cluster
) -> None:
    machine, before = grown.machine, attempts(grown.machine)

    grown.run("redrive")

    assert attempts(machine) > before

    grown.run("rebuild-silver!worker", "maintain")  # silver, and then gold
    cluster.start_missing_workers()

    assert attempts(machine) == before
    assert machine.read(*REPORT, "--snapshot", str(grown.first)).stdout == grown.answer
    machine.verified("--deep")


def test_a_source_with_a_third_of_all_events_is_counted_and_detected(grown: Grown) -> None:
    activity = rows(grown.machine, "ip_activity", "--every", "day", "--where", f"src_ip={SOURCE}")
    detections = rows(grown.machine, "detections", "--where", f"entity={SOURCE}")

    assert sum(row["attempts"] for row in activity) == 2 * SKEWED
    assert {"brute_force_ip", "user_enumeration"} <= {row["rule"] for row in detections}


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (("tables",), "silver.events"),
        (("history", "silver.events"), "WRITE"),
        (("diff", "1", "2"), "gold.ip_activity"),
        (("diff", "1", "2", "app_activity"), "changed"),
        (("sql", "SELECT max(attempts) AS most FROM ip_activity_week"), "most"),
        (("maintain", "--dry-run"), "gold.snapshots"),
        (("doctor",), "answers"),
    ],
)
def test_a_command_without_spark_reads_the_lake(grown: Grown, words: tuple[str, ...], printed: str) -> None:
    ended = grown.machine.read(*words)

    assert ended.returncode == 0, ended.stderr
    assert printed in ended.stdout


def test_a_label_is_stored(grown: Grown) -> None:
    detection = rows(grown.machine, "detections", "--limit", "1")[0]["detection_id"]

    labeled = grown.machine.read("label", detection, "benign", "--note", "a test")

    assert labeled.returncode == 0, labeled.stderr
    assert [row["label"] for row in rows(grown.machine, "labels")] == ["benign"]


def test_the_api_answers_as_of_each_snapshot(grown: Grown) -> None:
    machine = grown.machine
    (first,) = (row for row in rows(machine, "snapshots") if row["id"] == grown.first)

    with serving(machine) as api:
        then, by_id, now = (
            api.get(
                "/v1/metrics/ip_activity",
                params={"every": "day", "limit": "10000"} | at,
                headers={"accept": "text/csv"},
            ).text
            for at in ({"as_of": first["at"]}, {"snapshot": grown.first}, {})
        )

    assert then == by_id != now
    assert sorted(then.splitlines()) == sorted(grown.answer.splitlines())
