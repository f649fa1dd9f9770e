"""Folders that can't be written: one line with a hint, and no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.loginlake.command_line import Loginlake
from tests.loginlake.test_cli import the_only_line
from tests.mounts import fill, make_read_only, mounted

HINT = "set LOGINLAKE_ROOT and LOGINLAKE_STATE to other folders"
# They write to STATE before anything else.
STATE_WRITERS = [["broker"], ["up"]]


def addresses(port: int) -> tuple[str, ...]:
    return ("--kafka", f"127.0.0.1:{port}", "--port", str(port))


@pytest.mark.parametrize("words", STATE_WRITERS, ids=" ".join)
def test_a_state_that_is_a_file_is_one_line(
    loginlake: Loginlake, words: list[str], free_port: int, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.write_text("")

    line = the_only_line(loginlake(*words, "--state", str(state), *addresses(free_port)))

    assert line.startswith(str(state))
    assert HINT in line


@pytest.mark.slow
@pytest.mark.parametrize("words", STATE_WRITERS, ids=" ".join)
def test_a_state_on_a_read_only_file_system_is_one_line(
    loginlake: Loginlake, words: list[str], free_port: int, tmp_path: Path
) -> None:
    with mounted(tmp_path / "disk", megabytes=1) as disk:
        make_read_only(disk)
        line = the_only_line(loginlake(*words, "--state", str(disk / "state"), *addresses(free_port)))

    assert line.startswith(f"{disk}/state")
    assert "(Read-only file system)" in line
    assert HINT in line


@pytest.mark.slow
def test_a_state_on_a_full_disk_is_one_line(loginlake: Loginlake, free_port: int, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", megabytes=1) as disk:
        fill(disk)
        line = the_only_line(loginlake("broker", "--state", str(disk), *addresses(free_port)))

    assert "Free some" in line


def test_a_root_that_is_a_file_is_one_line(loginlake: Loginlake, spark: SparkSession, tmp_path: Path) -> None:
    root = tmp_path / "lake"
    root.write_text("")

    ended = loginlake.with_session(spark)("silver", "--root", str(root), "--state", str(tmp_path / "state"))

    assert ended.returncode == 1
    line = ended.stderr.splitlines()[-1]
    assert line.startswith(f"{root}/")
    assert HINT in line
    assert "Traceback" not in ended.stderr
