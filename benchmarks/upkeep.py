"""Many small refreshes with `maintain` beside: what they cost in time and bytes, against the same lake made at once.

    python benchmarks/upkeep.py --refreshes 300

Each refresh takes 200 new events. Now and then `maintain` runs, as `up` does it; at the end it runs once more, with
promise and grace of 0 days, so that the bytes left are those of the newest snapshot. The floor for the bytes is a lake
whose silver and gold are made of the same bronze in one refresh.
"""

from __future__ import annotations

import argparse
import shutil
from functools import partial
from pathlib import Path
from statistics import median

from lake import START
from rich.progress import track
from stand import own_broker, print_table, seconds_of

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
# The refreshes around one, whose median is taken for it: single ones differ by a half on a busy machine.
AROUND = 5


def main() -> None:
    """Prints the tables."""
    wanted = _arguments()
    with own_broker() as settings:
        spark = spark_session(settings, job="benchmark")
        lake = Lake(spark, settings)
        kafka.ensure_topic(settings)
        seconds, maintained = refreshed(lake, wanted)
        maintained.append(seconds_of(partial(maintain, lake.with_settings(retention_days=0, retention_grace_days=0))))
        early, late = (median(seconds[number - AROUND : number]) for number in (EARLY, wanted.refreshes))
        print_table(
            ("refresh of 200 events", "seconds", "ratio", "goal"),
            [
                (f"number {EARLY}", early, "", ""),
                (f"number {wanted.refreshes}", late, late / early, "≤ 1.20"),
                ("maintain, the longest", max(maintained), "", ""),
            ],
        )
        at_once = made_at_once(lake)
        ours, floor = bytes_of(lake), bytes_of(at_once)
        print_table(
            ("lake", "bytes", "ratio", "goal"),
            [("made in one refresh", floor, "", ""), ("refreshed and maintained", ours, ours / floor, "≤ 2.00")],
        )
        spark.stop()


def refreshed(lake: Lake, wanted: argparse.Namespace) -> tuple[list[float], list[float]]:
    """The seconds of each refresh, and of each `maintain` between two of them."""
    seconds, maintained = [], []
    for number in track(range(wanted.refreshes), "refreshing"):
        start = START + number * SPAN
        publish(batch(Plan(seed=number, start=start), events=EVENTS, end=start + SPAN), lake.settings)
        ingest_once(lake)
        seconds.append(seconds_of(partial(refresh, lake)))
        if (number + 1) % wanted.maintain_each == 0:
            maintained.append(seconds_of(partial(maintain, lake)))
    return seconds, maintained


def made_at_once(lake: Lake) -> Lake:
    """A lake with the same bronze, refreshed once."""
    root = Path(f"{lake.settings.root}-at-once")
    shutil.copytree(Path(lake.settings.root) / "bronze", root / "bronze")
    other = lake.with_settings(root=str(root))
    refresh(other)
    return other


def bytes_of(lake: Lake) -> int:
    """Of all tables, their logs included."""
    return sum(size_of(lake, table) for table in TABLES.values())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--refreshes", type=int, default=300)
    parser.add_argument("--maintain-each", type=int, default=50, help="refreshes between two of maintain")
    return parser.parse_args()


if __name__ == "__main__":
    main()
