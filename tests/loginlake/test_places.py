"""Places that can't be written, and starts that are interrupted: one line with the mend, and nothing stays behind."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.loginlake.command_line import Loginlake, LoginlakeProcess
from tests.mounts import fill, make_read_only, mounted

HINT = "Make it a folder that this user may write, or name others with LOGINLAKE_ROOT and LOGINLAKE_STATE"
# They write STATE before they need anything else.
STATE_WRITERS = [["broker"], ["up"]]


def said(ended: subprocess.CompletedProcess[str]) -> str:
    """The one line that a command said."""
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr.strip()


@pytest.mark.parametrize("words", STATE_WRITERS, ids=" ".join)
def test_a_state_that_is_a_file_is_one_line(
    loginlake: Loginlake, words: list[str], free_port: int, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.write_text("")

    line = said(loginlake(*words, "--state", str(state), "--kafka", f"127.0.0.1:{free_port}", "--port", str(free_port)))

    assert line.startswith(str(state))
    assert line.endswith(HINT)


@pytest.mark.parametrize("words", STATE_WRITERS, ids=" ".join)
def test_a_state_on_a_read_only_file_system_is_one_line(
    loginlake: Loginlake, words: list[str], free_port: int, tmp_path: Path
) -> None:
    with mounted(tmp_path / "disk", megabytes=1) as disk:
        make_read_only(disk)
        state = ("--state", str(disk / "state"))
        line = said(loginlake(*words, *state, "--kafka", f"127.0.0.1:{free_port}", "--port", str(free_port)))

    assert line.startswith(f"{disk}/state")
    assert "(Read-only file system)" in line
    assert line.endswith(HINT)


def test_a_state_on_a_full_disk_is_one_line(loginlake: Loginlake, free_port: int, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", megabytes=1) as disk:
        fill(disk)
        line = said(loginlake("broker", "--state", str(disk), "--kafka", f"127.0.0.1:{free_port}"))

    assert "Free some and start again" in line


def test_a_controller_s_port_that_something_else_has_is_one_line(
    loginlake: Loginlake, free_port: int, taken_port: int, tmp_path: Path
) -> None:
    folder = tmp_path / "state" / "broker"
    folder.mkdir(parents=True)
    (folder / "controller-port").write_text(str(taken_port))

    line = said(loginlake("broker", "--state", str(tmp_path / "state"), "--kafka", f"127.0.0.1:{free_port}"))

    assert f"127.0.0.1:{taken_port}" in line
    assert line.endswith("name that port: wait, or end what has it")


@pytest.mark.spark
def test_a_root_that_is_a_file_is_one_line(loginlake: Loginlake, tmp_path: Path) -> None:
    root = tmp_path / "lake"
    root.write_text("")

    ended = loginlake("silver", "--root", str(root), "--state", str(tmp_path / "state"))

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith(f"{root}/")
    assert ended.stderr.splitlines()[-1].endswith(HINT)
    assert "Traceback" not in ended.stderr


@pytest.mark.flow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_broker_starts_ends_it_and_its_jvm(
    loginlake_process: LoginlakeProcess, free_port: int, tmp_path: Path, number: signal.Signals
) -> None:
    broker = loginlake_process.start("broker", "--kafka", f"127.0.0.1:{free_port}", "--state", str(tmp_path))
    deadline = time.monotonic() + 60
    while not (tmp_path / "broker" / "broker.out").exists():  # its JVM has been started, and does not listen yet
        assert time.monotonic() < deadline
        time.sleep(0.01)
    broker.send_signal(number)
    _, errors = broker.communicate(timeout=60)

    assert (broker.returncode, errors) == (130, b"")
    with socket.create_server(("127.0.0.1", free_port)):
        pass


@pytest.mark.flow
def test_a_second_broker_on_the_same_data_is_refused(
    loginlake_process: LoginlakeProcess, free_port: int, tmp_path: Path
) -> None:
    state = ("--state", str(tmp_path))
    first = loginlake_process.start("broker", *state, "--kafka", f"127.0.0.1:{free_port}")
    try:
        while b"Kafka listens on" not in (line := first.stderr.readline()):
            assert line, "the broker ended"
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
        line = said(loginlake_process("broker", *state, "--kafka", f"127.0.0.1:{port}"))
    finally:
        first.terminate()
        _, then_said = first.communicate(timeout=60)

    assert line.startswith(f"Another broker has the data in {tmp_path / 'broker' / 'data'}")
    assert b"child_killed" not in then_said  # the first ended when asked


@pytest.mark.flow
def test_a_broker_that_ends_while_it_starts_is_one_line_that_names_its_log(
    loginlake: Loginlake, free_port: int, tmp_path: Path
) -> None:
    data = tmp_path / "broker" / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("version=1\n")  # of no cluster

    line = said(loginlake("broker", "--state", str(tmp_path), "--kafka", f"127.0.0.1:{free_port}"))

    assert f"did not start listening on 127.0.0.1:{free_port} and ended with exit code 1" in line
    assert str(tmp_path / "broker" / "broker.out") in line
