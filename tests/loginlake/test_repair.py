"""The verbs that mend a lake: their words, and what they say."""

from __future__ import annotations

import json
from contextlib import nullcontext

import pytest
from typer.testing import CliRunner

from lakehouse.errors import UsageError
from lakehouse.lake import Lake
from loginlake.commands import repair
from loginlake.commands.repair import told
from silver.redrive import Redriven
from tests.loginlake.command_line import Loginlake

pytestmark = pytest.mark.guarantees


@pytest.mark.parametrize("words", [["rebuild"], ["rebuild", "bronze"]])
def test_only_silver_and_gold_can_be_rebuilt(loginlake: Loginlake, words: list[str]) -> None:
    assert loginlake(*words).returncode == UsageError.exit_code


def test_a_reason_that_breaks_no_row_is_refused_with_those_that_do(loginlake: Loginlake) -> None:
    ended = loginlake("redrive", "--reason", "not_a_login")

    assert ended.returncode == UsageError.exit_code
    assert ended.stderr.count("\n") == 1
    assert "implausible_time" in ended.stderr


def test_a_redrive_says_what_became_of_the_rows() -> None:
    found = Redriven(
        taken=1_203, mended={"accepted": 1_200, "duplicate": 1}, broken={"not_json": 2}, resettled=4, written=1_205
    )

    assert told(found).splitlines() == [
        "broken rows taken again: 1,203",
        "accepted now: 1,200",
        "duplicate now: 1",
        "still broken, not_json: 2",
        "copies of them that have another winner now: 4",
    ]


@pytest.mark.spark
def test_both_verbs_run_on_an_empty_lake(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    # In the Spark session that the tests have: tests/loginlake/test_cli.py starts verbs with their own.
    monkeypatch.setattr(repair, "spark_job", lambda _name: nullcontext(lake))
    app, cli = repair.app, CliRunner()

    dry = cli.invoke(app, ["redrive", "--dry-run", "--json"], catch_exceptions=False)
    rebuilt = cli.invoke(app, ["rebuild", "silver"], catch_exceptions=False)

    assert json.loads(dry.stdout) == {
        "taken": 0, "mended": {}, "broken": {}, "resettled": 0, "written": 0, "snapshot": None,
    }  # fmt: skip
    assert rebuilt.stdout == "Nothing new: the last snapshot covers all\n"
