"""How far silver has read, as its commits note it."""

from __future__ import annotations

from datetime import date

import pytest

from lakehouse.progress import Progress, progress_from_json


@pytest.mark.parametrize("ingested_on", [None, date(2026, 3, 2)])
def test_progress_is_read_as_it_was_noted(ingested_on: date | None) -> None:
    progress = Progress({("logs", 0): 12, ("logs", 10): 3}, ingested_on, {"iptocc": "1"})

    assert progress_from_json(progress.to_json()) == progress


@pytest.mark.parametrize(
    "text",
    [
        None,
        "{}",
        "compacted by hand",
        '{"offsets": {"logs": {"0": "many"}}, "ingested_on": null, "enrichment": {}}',
        '{"offsets": {"logs": {"0": 12}}, "ingested_on": "2026-13-02", "enrichment": {}}',
    ],
)
def test_a_commit_that_notes_something_else_notes_no_progress(text: str | None) -> None:
    assert progress_from_json(text) is None
