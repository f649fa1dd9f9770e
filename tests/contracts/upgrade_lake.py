"""Run a release on a lake of an earlier one, for tests/contracts/test_upgrade.py.

As a process it prints as JSON what was read, so that a test can run it with other source files than those under test.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from lakehouse.job import running_spark
from lakehouse.lake import Lake
from lakehouse.logs import configure_logs
from lakehouse.progress import read_bronze_progress
from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot
from lakehouse.tables import TABLES
from lakehouse.tables.model import Table
from loginlake.pipeline import rebuild_silver, refresh
from loginlake.verify import VerifyOptions, verify
from serving.sql import sql_answer
from serving.store import Store, collected
from tests.spark_lakes import FIRST_BATCH, a_raw_login, append_batch


def main(root: Path, *columns: str) -> None:
    """Upgrade the lake at `root` in a Spark session of its own and print what the steps show.

    Args:
        root: The lake.
        columns: Columns to look at, each as `layer.table.column`.
    """
    configure_logs(sys.stderr)
    settings = settings_of(root)
    with running_spark(settings, job="upgrade") as spark:
        steps = upgrade(Lake(spark, settings), *columns)
    print(json.dumps(steps, default=str))  # noqa: T201 (the result)


def settings_of(root: Path) -> Settings:
    """Return the settings of an unpacked lake, which has no broker."""
    return Settings(root=str(root), state=root.parent / "state", kafka="127.0.0.1:1", _env_file=None)


def upgrade(lake: Lake, *columns: str) -> dict[str, Any]:
    """Upgrade the lake and return what is read after each step, by the name of the step."""
    steps = {"as it was": _look(lake.settings, columns)}
    refresh(lake)
    steps["refreshed"] = _look(lake.settings, columns)
    _append_logins(lake)
    refresh(lake)
    steps["refreshed with new rows"] = _look(lake.settings, columns)
    # Read by Spark, whose versions of the tables lack the columns.
    steps["old versions"] = {"values": {name: _spark_values(lake, name) for name in columns}}
    rebuild_silver(lake)  # and all of gold
    steps["rebuilt"] = _look(lake.settings, columns)
    return steps


def _append_logins(lake: Lake) -> None:
    """Append a login of the newest hour, and a late one of a closed window, as the bronze stream does."""
    progress = read_bronze_progress(lake)
    assert progress.last_ingest is not None
    offset = progress.offsets["logs", 0]
    minutes = (progress.last_ingest - FIRST_BATCH) // timedelta(minutes=1) + 1
    rows = [
        a_raw_login(offset, event_at="2026-11-21T08:40:00Z"),
        a_raw_login(offset + 1, event_at="2026-11-20T08:10:00Z", username="bob", src_ip="10.0.0.7", app="vpn"),
    ]
    append_batch(lake, [row | {"appended_at": progress.last_ingest} for row in rows], number=minutes)


def _look(settings: Settings, columns: tuple[str, ...]) -> dict[str, Any]:
    store = Store(settings)
    first, *_, last = store.snapshots()
    report = verify(settings, store, options=VerifyOptions(is_deep=True))
    return {
        "snapshot": last.id,
        "first snapshot": {name: _values(store, first, column=name) for name in columns},
        "last snapshot": {name: _values(store, last, column=name) for name in columns},
        "sql": sql_answer("SELECT sum(attempts) AS n FROM gold.ip_activity", store, snapshot=last)["n"].to_list(),
        "restatements": sql_answer(
            "SELECT snapshot_id, cause, count(*) AS n FROM gold.restatements GROUP BY ALL ORDER BY ALL",
            store,
            snapshot=last,
        ).rows(),
        "faults": [detail for check in report.checks if check.passed is False for detail in check.details],
        "notes": [note for check in report.checks for note in check.notes],
    }


def _values(store: Store, snapshot: Snapshot, *, column: str) -> list[Any]:
    """Return the distinct values of a column in a snapshot, sorted."""
    table, name = _table_and_column(column)
    values = collected(store.rows(table, snapshot).select(name).unique().sort(name), table)
    return list(values[name])


def _spark_values(lake: Lake, column: str) -> list[Any]:
    table, name = _table_and_column(column)
    return sorted({row[name] for row in lake.read(table, version=1).select(name).collect()}, key=str)


def _table_and_column(column: str) -> tuple[Table, str]:
    table, _, name = column.rpartition(".")
    return TABLES[table], name


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
