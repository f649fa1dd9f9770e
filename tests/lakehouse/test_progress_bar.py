"""Progress as lines, where standard error is not a terminal."""

from __future__ import annotations

from lakehouse.progress_bar import LINE_SECONDS, progress_lines


def test_short_work_prints_nothing_and_long_work_prints_a_line_now_and_then() -> None:
    printed: list[str] = []
    instants = iter([0.0, 1.0, LINE_SECONDS, LINE_SECONDS, LINE_SECONDS + 1])
    progress = progress_lines(printed.append, clock=lambda: next(instants))

    progress("Reading", 1_000, 3_000)
    progress("Reading", 2_000, 3_000)
    progress("Reading", 3_000, 3_000)

    assert printed == ["Reading: 2,000 of 3,000"]


def test_a_line_without_a_total_or_a_count_names_only_what_is_known() -> None:
    printed: list[str] = []
    instants = iter([0.0, 10.0, 10.0, 20.0, 20.0])
    progress = progress_lines(printed.append, clock=lambda: next(instants))

    progress("Sending", 5_000, None)
    progress("Comparing", 0, 0)

    assert printed == ["Sending: 5,000", "Comparing"]
