"""Time and bytes of many small refreshes with `maintain` between them, compared with one refresh of the same events.

    python benchmarks/maintenance.py --refreshes 300

Each refresh adds 200 events. `maintain` runs after every 50 refreshes, and once at the end with a retention of 0 days,
so that only the files of the newest snapshot are left. The floor for the bytes is a lake whose silver and gold are made
from the same bronze in one refresh.
"""

from __future__ import annotations

import argparse
import shutil
from functools import partial
from pathlib import Path
from statistics import median

from harness import empty_lake, print_table, seconds_of
from lake import START
from rich.progress import track

from bronze.stream import ingest_once
from lakehouse import kafka
from lakehouse.lake import Lake
from lakehouse.maintenance import size_of
from lakehouse.session import spark_session
from lakehouse.tables import TABLES
from loginlake.pipeline import refresh
from loginlake.retention import maintain
from producer.events import SECOND
from producer.generate import Plan, batch
from producer.publish import publish

EVENTS = 200
SPAN = 600 * SECOND
EARLY = 20
# Number of refreshes whose median stands for one: single refreshes differ by half on a busy machine.
MEDIAN_OF = 5


def main() -> None:
    """Print the tables."""
    arguments = _arguments()
    with empty_lake() as settings:
        spark = spark_session(settings, job="benchmark")
        lake = Lake(spark, settings)
        kafka.ensure_topic(settings)
        seconds, maintained = refreshed(lake, arguments)
        maintained.append(seconds_of(partial(maintain, lake.with_settings(retention_days=0, retention_grace_days=0))))
        early, late = (median(seconds[number - MEDIAN_OF : number]) for number in (EARLY, arguments.refreshes))
        print_table(
            ("refresh of 200 events", "seconds", "ratio", "goal"),
            [
                (f"number {EARLY}", early, "", ""),
                (f"number {arguments.refreshes}", late, late / early, "≤ 1.20"),
                ("maintain, the longest", max(maintained), "", ""),
            ],
        )
        in_one_refresh = refreshed_once(lake)
        ours, floor = bytes_of(lake), bytes_of(in_one_refresh)
        print_table(
            ("lake", "bytes", "ratio", "goal"),
            [("made in one refresh", floor, "", ""), ("refreshed and maintained", ours, ours / floor, "≤ 2.00")],
        )
        spark.stop()


def refreshed(lake: Lake, arguments: argparse.Namespace) -> tuple[list[float], list[float]]:
    """Return the seconds of each refresh and of each `maintain`."""
    seconds, maintained = [], []
    for number in track(range(arguments.refreshes), "refreshing"):
        start = START + number * SPAN
        publish(batch(Plan(seed=number, start=start), events=EVENTS, end=start + SPAN), lake.settings)
        ingest_once(lake)
        seconds.append(seconds_of(partial(refresh, lake)))
        if (number + 1) % arguments.maintain_each == 0:
            maintained.append(seconds_of(partial(maintain, lake)))
    return seconds, maintained


def refreshed_once(lake: Lake) -> Lake:
    """Return a lake with the same bronze, refreshed once."""
    root = Path(f"{lake.settings.root}-at-once")
    shutil.copytree(Path(lake.settings.root) / "bronze", root / "bronze")
    other = lake.with_settings(root=str(root))
    refresh(other)
    return other


def bytes_of(lake: Lake) -> int:
    """Return the bytes of all tables, including their logs."""
    return sum(size_of(lake, table) for table in TABLES.values())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--refreshes", type=int, default=300)
    parser.add_argument("--maintain-each", type=int, default=50, help="refreshes between two runs of maintain")
    return parser.parse_args()


if __name__ == "__main__":
    main()
