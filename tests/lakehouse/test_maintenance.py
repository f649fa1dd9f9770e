from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lakehouse.lake import CHECKPOINTS, Lake
from lakehouse.maintenance import remove_old_checkpoints

NOW = datetime(2026, 2, 3, 12, tzinfo=UTC)


def test_only_the_checkpoints_of_a_job_that_has_written_nothing_for_long_are_removed(lake: Lake) -> None:
    folder = Path(lake.settings.root) / CHECKPOINTS
    for job, hours in (("killed", (30, 40)), ("running", (1, 40))):
        for number, age in enumerate(hours):
            file = folder / job / f"rdd-{number}" / "part-00000"
            file.parent.mkdir(parents=True)
            file.touch()
            written_at = (NOW - timedelta(hours=age)).timestamp()
            os.utime(file, (written_at, written_at))

    removed = [remove_old_checkpoints(lake, before=NOW - timedelta(hours=24)) for _ in range(2)]

    assert removed == [1, 0]
    assert [each.name for each in folder.iterdir()] == ["running"]
