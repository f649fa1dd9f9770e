from __future__ import annotations

from io import StringIO

import pytest
import typer
from rich.console import Console

from lakehouse.lake import Lake
from lakehouse.steps import running, shown_steps, step, steps_line, steps_text


def test_steps_are_named_with_their_seconds_while_they_run() -> None:
    with running("Counting") as rename, running("Detecting"):
        assert steps_text("Refresh", now=0).startswith("Refresh: Counting (")
        assert ", Detecting (" in steps_text("", now=0)
        rename("Publishing")
        assert steps_text("", now=0).startswith("Publishing (")
    assert steps_text("Refresh", now=0) == "Refresh"


def test_a_step_of_known_length_shows_it() -> None:
    with running("Waiting", seconds=60.0):
        assert steps_text("", now=0).endswith(" of 60 s)")


def test_the_line_is_empty_after_the_last_step() -> None:
    line = steps_line("")
    with running("Counting"):
        assert "Counting" in str(line().text)
    assert not str(line().text)


def test_a_step_that_fails_has_ended() -> None:
    with pytest.raises(ValueError, match="broken"), running("Counting"):
        raise ValueError("broken")
    assert not steps_text("", now=0)


def test_a_terminal_shows_the_steps() -> None:
    terminal = Console(file=StringIO(), force_terminal=True, width=80)
    with running("Counting"), shown_steps(terminal, title="Refresh"):
        pass
    assert "Refresh: Counting (0 s)" in terminal.file.getvalue()  # type: ignore[attr-defined]


def test_what_is_printed_meanwhile_has_a_line_of_its_own() -> None:
    terminal = Console(file=StringIO(), force_terminal=True, width=80)
    with running("Counting"), shown_steps(terminal):
        typer.echo("Three rows", err=True)
    assert "Three rows\n⠋ Counting" in terminal.file.getvalue()  # type: ignore[attr-defined]


def test_a_file_does_not() -> None:
    pipe = Console(file=StringIO(), width=80)
    with running("Counting"), shown_steps(pipe, title="Refresh"):
        pass
    assert not pipe.file.getvalue()  # type: ignore[attr-defined]


def test_spark_describes_the_jobs_of_a_step_by_its_name(lake: Lake) -> None:
    described = step("Counting")(lambda lake: lake.spark.sparkContext.getLocalProperty("spark.job.description"))

    assert described(lake) == "Counting"
    assert lake.spark.sparkContext.getLocalProperty("spark.job.description") is None
