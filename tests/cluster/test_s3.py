"""A lake on S3, with jobs as processes: what a store does that a disk does not."""

from __future__ import annotations

import os
import signal
import socket
import time
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from tests.cluster.conftest import Machine
from tests.cluster.driver import APPENDS
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


def send(machine: Machine, *, events: int, seed: int = 1) -> None:
    sent = machine.read("produce", "generate", "--events", str(events), "--seed", str(seed), "--days", "3")
    assert sent.returncode == 0, sent.stderr


def storage(machine: Machine) -> dict[str, str]:
    return {name: value for name, value in machine.environment.items() if name.startswith("AWS_")} | {
        "allow_http": "true"
    }


def verified(machine: Machine, *words: str) -> str:
    """Verify the lake and return the report's text."""
    ended = machine.read("verify", *words)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_two_drivers_that_append_at_once_lose_no_commit(machine: Machine, tmp_path: Path) -> None:
    uri = f"{machine.environment['LOGINLAKE_ROOT']}/appended"
    write_deltalake(uri, pl.DataFrame({"id": [0]}).to_arrow(), storage_options=storage(machine))

    drivers = [at.start_driver("append") for at in (machine, machine.on(tmp_path / "other"))]
    outputs = [driver.communicate()[0].decode() for driver in drivers]

    assert [driver.returncode for driver in drivers] == [0, 0], outputs
    table = DeltaTable(uri, storage_options=storage(machine))
    assert pl.scan_delta(table).collect().height == 1 + len(drivers) * APPENDS
    writers = [commit.get("userMetadata") for commit in table.history()]
    assert sum(writer != after for writer, after in pairwise(writers)) > len(drivers), "they did not run at once"


def test_a_second_writer_is_refused_by_name_and_works_once_the_lease_of_a_killed_one_ends(
    machine: Machine, tmp_path: Path
) -> None:
    send(machine, events=100)
    other = machine.on(tmp_path / "other")
    first = machine.start("bronze")
    try:
        holder = f"`bronze` (process {first.pid} on {socket.gethostname()}"
        wait_until(lambda: other.read("doctor", "--json").stdout.count(holder) == 1, first)

        refused = other.job("bronze", "--once")
        assert refused.returncode == 1
        assert f"Process {first.pid} has held the lock of bronze since" in refused.stderr
        assert f"on {socket.gethostname()}" in refused.stderr
        assert "its lease ends at" in refused.stderr
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
    killed_at = time.monotonic()
    after = other.job("bronze", "--once")

    assert after.returncode == 0, after.stderr
    assert time.monotonic() - killed_at < 60
    verified(machine)


def test_a_paused_holder_that_wakes_up_after_its_lease_publishes_nothing(machine: Machine, tmp_path: Path) -> None:
    send(machine, events=300)
    paused = machine.start_driver("bronze", "refresh!pause")
    assert paused.stdout is not None
    while b"paused" not in paused.stdout.readline():
        assert paused.poll() is None
    other = machine.on(tmp_path / "other")
    wait_until(lambda: "no job writes the lake" in other.read("doctor", "--json").stdout, seconds=60)
    other.driver("refresh")
    published = other.read("query", "snapshots", "--format", "csv").stdout

    os.killpg(paused.pid, signal.SIGCONT)
    output, _ = paused.communicate(timeout=120)

    assert paused.returncode == 1
    assert b"This process lost the lock of refresh" in output
    assert other.read("query", "snapshots", "--format", "csv").stdout == published
    verified(machine)


def test_a_dead_endpoint_is_an_error_that_names_it(machine: Machine, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (1, silent.getsockname()[1]):
            dead = machine.on(tmp_path / str(port), AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}")
            for words in (("tables",), ("bronze", "--once"), ("verify",)):
                started = time.monotonic()
                ended = dead.read(*words)

                assert ended.returncode == 1
                assert f"The object store at http://127.0.0.1:{port} does not answer" in ended.stderr
                assert time.monotonic() - started < 30


def test_wrong_keys_and_a_missing_bucket_are_errors_that_name_them(machine: Machine, tmp_path: Path) -> None:
    keys = machine.on(tmp_path / "keys", AWS_ACCESS_KEY_ID="unknown").read("tables")
    assert "refuses access" in keys.stderr
    assert "Check AWS_ACCESS_KEY_ID" in keys.stderr

    elsewhere = machine.on(tmp_path / "bucket", LOGINLAKE_ROOT="s3://nowhere/lake")
    for words in (("tables",), ("demo", "--once"), ("up",)):
        assert "There is no bucket nowhere at http://127.0.0.1:" in elsewhere.read(*words).stderr
