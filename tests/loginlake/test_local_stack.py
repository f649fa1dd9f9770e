"""The pace of `up` and `demo`."""

from __future__ import annotations

from lakehouse.settings import Settings
from loginlake.local_stack import STACK_TRIGGER_SECONDS, describe_pace, with_stack_pace


def test_bronze_commits_less_often_in_the_stack_unless_the_setting_is_given() -> None:
    default, given = Settings(_env_file=None), Settings(bronze_trigger_seconds=2.5, _env_file=None)

    assert with_stack_pace(default).bronze_trigger_seconds == STACK_TRIGGER_SECONDS
    assert with_stack_pace(given) == given


def test_the_pace_is_described_in_seconds() -> None:
    settings = Settings(bronze_trigger_seconds=2.5, refresh_interval_seconds=30, _env_file=None)

    assert describe_pace(settings) == "stored every 2.5 s, published at most every 30 s"
