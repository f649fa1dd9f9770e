"""`verify` and `verify --deep` of a large lake, compared with only reading the files that they check.

    python benchmarks/verify.py --events 1000000

The jobs write the lake in ten rounds. No broker runs while it is verified, so the figures contain no time of Kafka.
`--lake FOLDER` keeps the lake in that folder and uses the lake that the folder already holds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
from harness import empty_lake, print_table, seconds_of
from lake import DAYS, START

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
NO_BROKER = "127.0.0.1:9"


def main() -> None:
    """Print the table."""
    arguments = _arguments()
    with _folder(arguments.lake) as folder:
        root = folder / "lake"
        if not root.exists():
            make_lake(root, events=arguments.events)
        settings = Settings(root=str(root), state=folder / "state", kafka=NO_BROKER, _env_file=None)
        plain, deep = [], []
        reading = seconds_of(lambda: read_all(root))
        for _ in range(arguments.rounds):
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
    """Write a lake with this number of events of 30 days, in ten snapshots."""
    with empty_lake() as prepared:
        settings = prepared.model_copy(update={"root": str(root)})
        spark = spark_session(settings, job="benchmark")
        lake = Lake(spark, settings)
        kafka.ensure_topic(settings)
        for number in range(ROUNDS):
            start = START + number * SPAN
            publish(batch(Plan(seed=number, start=start), events=events // ROUNDS, end=start + SPAN), settings)
            ingest_once(lake)
            refresh(lake)
        spark.stop()


def verified(settings: Settings, options: VerifyOptions) -> Report:
    """Verify the lake and return the report; raise if it finds a fault, since the time would mean nothing."""
    report = verify(settings, Store(settings), options=options)
    if not report.ok:
        raise AssertionError([check for check in report.checks if check.passed is False])
    return report


def read_all(root: Path) -> None:
    """Read every Parquet file and do nothing with it: the floor."""
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
    parser.add_argument("--lake", type=Path, help="keep the lake in this folder and use it again")
    return parser.parse_args()


if __name__ == "__main__":
    main()
