"""`loginlake rebuild` and `loginlake redrive`: their options, and what they print."""

from __future__ import annotations

import json

from lakehouse.errors import UsageError
from lakehouse.lake import Lake
from loginlake.commands.redrive import redrive_report
from silver.redrive import Redriven
from tests.loginlake.command_line import Loginlake
from tests.loginlake.test_cli import the_only_line


def test_a_reason_that_breaks_no_row_is_refused_with_those_that_do(loginlake: Loginlake) -> None:
    ended = loginlake("redrive", "--reason", "not_a_login")

    assert "implausible_time" in the_only_line(ended, code=UsageError.exit_code)


def test_a_redrive_reports_the_new_verdicts_of_the_rows() -> None:
    found = Redriven(
        attempted=1_203,
        decoded={"accepted": 1_200, "duplicate": 1},
        still_broken={"not_json": 2},
        reassigned=4,
        written=1_205,
    )

    assert redrive_report(found).splitlines() == [
        "broken rows decoded again: 1,203",
        "accepted now: 1,200",
        "duplicate now: 1",
        "still broken, not_json: 2",
        "duplicates of them that have another winner now: 4",
    ]


def test_both_commands_run_on_an_empty_lake(loginlake: Loginlake, lake: Lake) -> None:
    run = loginlake.with_session(lake.spark)
    places = ("--root", lake.settings.root, "--state", str(lake.settings.state))

    dry = run("redrive", "--dry-run", "--json", *places)
    rebuilt = run("rebuild", "silver", *places)

    assert json.loads(dry.stdout) == {
        "attempted": 0, "decoded": {}, "still_broken": {}, "reassigned": 0, "written": 0, "snapshot": None,
    }  # fmt: skip
    assert rebuilt.stdout == "Nothing to rebuild: the lake is empty\n"
