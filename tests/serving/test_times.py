"""Times in queries, on the command line and in URLs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lakehouse.errors import BadQuery
from serving.parameters import time_parser

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("today", datetime(2026, 3, 2, tzinfo=UTC)),
        ("Yesterday", datetime(2026, 3, 1, tzinfo=UTC)),
        ("-7d", NOW - timedelta(days=7)),
        ("-90s", NOW - timedelta(seconds=90)),
        ("2026-01-31T08:00:00Z", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("2026-01-31T08:00:00+02:00", datetime(2026, 1, 31, 6, tzinfo=UTC)),
        ("2026-01-31 08:00", datetime(2026, 1, 31, 8, tzinfo=UTC)),
    ],
)
def test_a_time_is_a_date_a_word_an_age_or_an_instant(text: str, expected: datetime) -> None:
    assert time_parser(NOW)(text) == expected


@pytest.mark.parametrize("text", ["", "tomorow", "7d", "-7w", "2026-02-30", "20260131", "2026-W05-1", "-9999999d"])
def test_any_other_text_is_refused_with_examples(text: str) -> None:
    with pytest.raises(BadQuery, match="today, yesterday, an age such as -7d"):
        time_parser(NOW)(text)
