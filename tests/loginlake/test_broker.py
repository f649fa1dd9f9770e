"""`loginlake broker`: where it listens, how it ends, and what keeps it from starting."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from lakehouse.errors import PortTaken
from tests.conftest import a_free_port
from tests.loginlake.command_line import Loginlake, LoginlakeProcess
from tests.loginlake.test_cli import the_only_line
from tests.waiting import wait_until


def assert_free(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_taken_port_is_one_line_with_a_command_that_works(
    loginlake: Loginlake, taken_port: int, tmp_path: Path
) -> None:
    ended = loginlake("broker", "--kafka", f"127.0.0.1:{taken_port}", "--state", str(tmp_path))

    assert "`--kafka 127.0.0.1:9192`" in the_only_line(ended, code=PortTaken.exit_code)


def test_a_taken_port_of_the_controller_is_one_line_that_names_it(
    loginlake: Loginlake, free_port: int, taken_port: int, tmp_path: Path
) -> None:
    folder = tmp_path / "broker"
    folder.mkdir(parents=True)
    (folder / "controller-port").write_text(str(taken_port))

    line = the_only_line(loginlake("broker", "--state", str(tmp_path), "--kafka", f"127.0.0.1:{free_port}"))

    assert f"127.0.0.1:{taken_port}" in line
    assert f"the broker must keep this port, which {folder / 'controller-port'} records" in line


def test_an_address_without_a_port_is_one_line_that_names_the_setting(loginlake: Loginlake, tmp_path: Path) -> None:
    ended = loginlake("broker", "--kafka", "localhost", "--state", str(tmp_path))

    assert "Write LOGINLAKE_KAFKA as" in the_only_line(ended)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_broker_runs_until_a_signal(
    loginlake: Loginlake, loginlake_process: LoginlakeProcess, free_port: int, tmp_path: Path, number: signal.Signals
) -> None:
    state = ("--state", str(tmp_path))
    kafka = ("--kafka", f"127.0.0.1:{free_port}")
    broker = loginlake_process.start("broker", *kafka, *state, stderr=subprocess.PIPE)
    try:
        event = json.loads(broker.stderr.readline())
        findings = json.loads(loginlake("doctor", *kafka, *state, "--json").stdout)
        second = loginlake("broker", "--kafka", f"127.0.0.1:{a_free_port()}", *state)
    finally:
        broker.send_signal(number)
        _, errors = broker.communicate(timeout=60)

    (found,) = [finding for finding in findings if finding["check"] == "kafka"]
    assert found["what"] == f"a broker answers at 127.0.0.1:{free_port}"
    assert the_only_line(second).startswith(f"Another broker uses the data in {tmp_path / 'broker' / 'data'}")
    assert (event["event"], event["servers"]) == ("broker_started", f"127.0.0.1:{free_port}")
    assert broker.returncode == 0, errors
    assert b"child_killed" not in errors
    assert_free(free_port)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_broker_starts_ends_it_and_its_jvm(
    loginlake_process: LoginlakeProcess, free_port: int, tmp_path: Path, number: signal.Signals
) -> None:
    broker = loginlake_process.start("broker", "--kafka", f"127.0.0.1:{free_port}", "--state", str(tmp_path))
    try:
        # From here on its JVM runs, but does not listen yet.
        wait_until((tmp_path / "broker" / "broker.out").exists, broker, poll_seconds=0.01)
    finally:
        broker.send_signal(number)
        _, errors = broker.communicate(timeout=60)

    assert (broker.returncode, errors) == (130, b"")
    assert_free(free_port)


@pytest.mark.slow
def test_a_broker_that_ends_while_it_starts_is_one_line_that_names_its_log(
    loginlake: Loginlake, free_port: int, tmp_path: Path
) -> None:
    data = tmp_path / "broker" / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("version=1\n")  # without a cluster id

    line = the_only_line(loginlake("broker", "--state", str(tmp_path), "--kafka", f"127.0.0.1:{free_port}"))

    assert f"did not start listening on 127.0.0.1:{free_port} and ended with exit code 1" in line
    assert str(tmp_path / "broker" / "broker.out") in line
