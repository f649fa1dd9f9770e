"""The pace of `up` and `demo`, and how they stop when one of their processes ends."""

from __future__ import annotations

import sys

import pytest
from rich.console import Console

from lakehouse.errors import ProcessFailed
from lakehouse.lake import Lake
from lakehouse.logs import log_folder
from lakehouse.settings import Settings
from loginlake.local_stack import STACK_TRIGGER_SECONDS, describe_pace, run_until_stopped, with_stack_pace
from loginlake.subprocesses import child


def test_bronze_commits_less_often_in_the_stack_unless_the_setting_is_given() -> None:
    default, given = Settings(_env_file=None), Settings(bronze_trigger_seconds=2.5, _env_file=None)

    assert with_stack_pace(default).bronze_trigger_seconds == STACK_TRIGGER_SECONDS
    assert with_stack_pace(given) == given


def test_the_pace_is_described_in_seconds() -> None:
    settings = Settings(bronze_trigger_seconds=2.5, refresh_interval_seconds=30, _env_file=None)

    assert describe_pace(settings) == "stored every 2.5 s, published at most every 30 s"


def test_all_parts_stop_with_the_log_of_a_process_that_ends_by_itself(fed_lake: Lake) -> None:
    folder = log_folder(fed_lake.settings)
    folder.mkdir(parents=True)
    with (
        child([sys.executable, "-c", "1/0"], output=folder / "serving.log") as api,
        pytest.raises(ProcessFailed, match=r"`-c 1/0` ended with exit code 1") as stopped,
    ):
        run_until_stopped(fed_lake, Console(), children=(api,))

    assert stopped.value.parts["output"] == folder
