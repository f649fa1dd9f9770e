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

from tests.cluster.conftest import SECONDS, Machine
from tests.cluster.driver import APPENDS
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


def storage(machine: Machine) -> dict[str, str]:
    return {name: value for name, value in machine.environment.items() if name.startswith("AWS_")} | {
        "allow_http": "true"
    }


def test_two_drivers_that_append_at_once_lose_no_commit(machine: Machine, tmp_path: Path) -> None:
    uri = f"{machine.environment['LOGINLAKE_ROOT']}/appended"
    write_deltalake(uri, pl.DataFrame({"id": [0]}).to_arrow(), storage_options=storage(machine))

    with machine.driver("append") as first, machine.on(tmp_path / "other").driver("append") as second:
        drivers = (first, second)
        for driver in drivers:
            driver.check_end()

    table = DeltaTable(uri, storage_options=storage(machine))
    assert pl.scan_delta(table).collect().height == 1 + len(drivers) * APPENDS
    writers = [commit.get("userMetadata") for commit in table.history()]
    assert sum(writer != after for writer, after in pairwise(writers)) > len(drivers), "they did not run at once"


def test_a_second_writer_is_refused_by_name_and_works_once_the_lease_of_a_killed_one_ends(
    machine: Machine, tmp_path: Path
) -> None:
    machine.send(events=100)
    other = machine.on(tmp_path / "other")
    with machine.command("bronze") as first:
        pid = first.process.pid
        holder = f"`bronze` (process {pid} on {socket.gethostname()}"
        wait_until(lambda: other.read("doctor", "--json").stdout.count(holder) == 1, first.process)

        refused = other.job("bronze", "--once")
        assert refused.returncode == 1
        assert f"Process {pid} has held the lock of bronze since" in refused.stderr
        assert f"on {socket.gethostname()}" in refused.stderr
        assert "its lease ends at" in refused.stderr

        os.killpg(pid, signal.SIGKILL)
        first.process.wait()
    killed_at = time.monotonic()
    after = other.job("bronze", "--once")

    assert after.returncode == 0, after.stderr
    assert time.monotonic() - killed_at < 60
    machine.verified()


def test_a_paused_holder_that_wakes_up_after_its_lease_publishes_nothing(machine: Machine, tmp_path: Path) -> None:
    machine.send(events=300)
    other = machine.on(tmp_path / "other")
    with machine.driver("bronze", "refresh!pause") as paused:
        wait_until(lambda: "paused\n" in paused.output, paused.process, seconds=SECONDS)
        wait_until(lambda: "no job writes the lake" in other.read("doctor", "--json").stdout, seconds=60)
        other.run_driver("refresh")
        published = other.read("query", "snapshots", "--format", "csv").stdout

        os.killpg(paused.process.pid, signal.SIGCONT)

        paused.check_end(1)
    assert "This process lost the lock of refresh" in paused.output
    assert other.read("query", "snapshots", "--format", "csv").stdout == published
    machine.verified()


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
