"""Verify of a large lake, plain and deep, against merely reading the files that it checks.

    python benchmarks/verify.py --events 1000000

The lake is made by the jobs, a tenth of it at a time, and is copied away from its broker: so no part of the time is
Kafka's. `--lake FOLDER` keeps it there, and takes it as it is when it is there already.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
from lake import DAYS, START
from stand import own_broker, print_table, seconds_of

from bronze.stream import ingest_once
from lakehouse import kafka
from lakehouse.lake import Lake
from lakehouse.session import spark_session
from lakehouse.settings import Settings
from loginlake.pipeline import refresh
from loginlake.verify import Report, VerifyOptions, verify
from producer.events import DAY_SECONDS, SECOND
from producer.generate import Plan, batch
from producer.publish import publish
from serving.store import Store

ROUNDS = 10
SPAN = DAYS * DAY_SECONDS * SECOND // ROUNDS
NOWHERE = "127.0.0.1:9"


def main() -> None:
    """Prints the table."""
    wanted = _arguments()
    with _folder(wanted.lake) as folder:
        root = folder / "lake"
        if not root.exists():
            make_lake(root, events=wanted.events)
        settings = Settings(root=str(root), state=folder / "state", kafka=NOWHERE, _env_file=None)
        plain, deep = [], []
        reading = seconds_of(lambda: read_all(root))
        for _ in range(wanted.rounds):
            plain.append(seconds_of(lambda: verified(settings, VerifyOptions())))
            deep.append(seconds_of(lambda: verified(settings, VerifyOptions(is_deep=True))))
        rows = verified(settings, VerifyOptions()).layers["silver"]
        print_table(
            ("verify", "silver rows", "seconds", "ratio", "goal for 1,000,000"),
            [
                ("reading every data file", rows, reading, "", ""),
                ("verify", rows, min(plain), min(plain) / reading, "< 30 s"),
                ("verify --deep", rows, min(deep), min(deep) / reading, "< 120 s"),
            ],
        )


def make_lake(root: Path, *, events: int) -> None:
    """A lake with so many events of 30 days, in ten snapshots."""
    with own_broker() as stand:
        settings = stand.model_copy(update={"root": str(root)})
        spark = spark_session(settings, job="benchmark")
        lake = Lake(spark, settings)
        kafka.ensure_topic(settings)
        for number in range(ROUNDS):
            start = START + number * SPAN
            publish(batch(Plan(seed=number, start=start), events=events // ROUNDS, end=start + SPAN), settings)
            ingest_once(lake)
            refresh(lake)
        spark.stop()


def verified(settings: Settings, wish: VerifyOptions) -> Report:
    """The report, which must be good: the time of a failure says nothing."""
    report = verify(settings, Store(settings), wish=wish)
    if not report.ok:
        raise AssertionError([check for check in report.checks if check.holds is False])
    return report


def read_all(root: Path) -> None:
    """The floor: every Parquet file is read, and nothing done with it."""
    for file in root.rglob("*.parquet"):
        pq.ParquetFile(file).read()


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        yield kept
        return
    with TemporaryDirectory(prefix="loginlake-bench-") as folder:
        yield Path(folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lake", type=Path, help="Keep the lake in this folder, and take it from there.")
    return parser.parse_args()


if __name__ == "__main__":
    main()
