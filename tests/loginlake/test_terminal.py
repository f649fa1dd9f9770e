"""Tables and timed steps on standard output."""

from __future__ import annotations

import pytest

from loginlake.terminal import output_console, print_table, timed_step


def test_integers_are_aligned_right_with_separators_and_nulls_are_dashes(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("layer", "rows", title="Rows", rows=[("bronze", 1_234_567), ("silver", 8), ("kafka", None)])

    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0] == "Rows"
    assert lines[3:] == ["bronze   1,234,567", "silver           8", "kafka            -"]


def test_cells_are_printed_without_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("name", rows=[("[bold]x[/bold]",)])

    assert "[bold]x[/bold]" in capsys.readouterr().out


def test_a_step_prints_its_time_only_if_it_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    console = output_console()
    with timed_step(console, "Reading"):
        pass
    with pytest.raises(ZeroDivisionError), timed_step(console, "Dividing"):
        1 / 0  # noqa: B018

    started, ended, failed = capsys.readouterr().out.splitlines()
    assert (started, failed) == ("Reading …", "Dividing …")
    assert ended.startswith("Reading: 0.")
