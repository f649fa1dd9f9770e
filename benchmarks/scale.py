"""What a million rows cost while a lake grows: seconds of each job, bytes, and peak memory.

    python benchmarks/scale.py --millions 10
    python benchmarks/scale.py --millions 2 --root s3://lake/scale

Each step adds a million events of the next 30 days: bronze, silver and gold read them. Then it adds 10,000 events of
the same density, and a refresh publishes them. The last step ends today. Only verify and the bytes may grow with the
lake.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import polars as pl
from harness import empty_lake, print_table, seconds_of
from lake import DAYS, NEW_SPAN, produce_between
from processes import ENDED, PROC, family

from bronze.stream import ingest_once
from gold.job import refresh_gold
from lakehouse.clock import utc_now
from lakehouse.lake import Lake
from lakehouse.session import spark_session
from lakehouse.settings import Settings
from lakehouse.tables.silver import EVENTS
from loginlake.lake_files import lake_files
from loginlake.pipeline import refresh
from loginlake.verify import verify
from producer.events import DAY_SECONDS, SECOND
from serving.store import Store
from silver.job import update_silver

MILLION = 1_000_000
CHANGE = 10_000
STEP_SPAN = DAYS * DAY_SECONDS * SECOND
CHANGE_SPAN = 2 * NEW_SPAN
# Silver refuses events of the future, and the generator repeats or spoils one in fifty.
LEAST_ACCEPTED = 0.95
SAMPLE_SECONDS = 0.2
COLUMNS = (
    "million rows", "bronze s", "silver s", "gold s", "refresh of 10,000 s", "verify s", "MB", "JVM MB", "Python MB"
)  # fmt: skip


def main() -> None:
    """Print one row for each million."""
    arguments = _arguments()
    with empty_lake() as empty:
        settings = empty.model_copy(update={"root": arguments.root} if arguments.root else {})
        lake = Lake(spark_session(settings, job="benchmark"), settings)
        jvm = lake.spark._jvm.java.lang.ProcessHandle.current().pid()  # type: ignore[union-attr]
        today = int(utc_now().replace(hour=0, minute=0, second=0, microsecond=0).timestamp()) * SECOND
        start = today - arguments.millions * (STEP_SPAN + CHANGE_SPAN)
        rows = [grown(lake, number, start=start, jvm=jvm) for number in range(arguments.millions)]
        print_table(COLUMNS, rows)
        lake.spark.stop()


def grown(lake: Lake, number: int, *, start: int, jvm: int) -> tuple[object, ...]:
    """Add a million events and 10,000 more, and return a row of the table."""
    start += number * (STEP_SPAN + CHANGE_SPAN)
    produce_between(lake.settings, events=MILLION, seed=number, start=start, end=start + STEP_SPAN)
    with peak_memory(jvm) as peak:
        seconds = [seconds_of(partial(job, lake)) for job in (ingest_once, update_silver, refresh_gold)]
        start += STEP_SPAN
        produce_between(lake.settings, events=CHANGE, seed=1000 + number, start=start, end=start + CHANGE_SPAN)
        ingest_once(lake)
        seconds.append(seconds_of(partial(refresh, lake)))
    seconds.append(seconds_of(lambda: verified(lake.settings)))
    check_accepted(Store(lake.settings))
    megabytes = sum(file.size for file in lake_files(lake.settings)) / 10**6
    row = (number + 1, *seconds, megabytes, *(size / 10**6 for size in peak))
    print(*row, flush=True)
    return row


def verified(settings: Settings) -> None:
    """Verify the lake.

    Raises:
        SystemExit: It has a fault.
    """
    report = verify(settings, Store(settings))
    if not report.ok:
        raise SystemExit(report.summary)


def check_accepted(store: Store) -> None:
    """Check that silver has accepted what the generator has not spoiled.

    Raises:
        SystemExit: It has refused more.
    """
    rows = store.rows(EVENTS, store.snapshot()).select(pl.len(), (pl.col("verdict") == "accepted").mean()).collect()
    count, accepted = rows.row(0)
    if accepted < LEAST_ACCEPTED:
        raise SystemExit(f"Of {count:,} rows only {accepted:.0%} are accepted")


@contextmanager
def peak_memory(jvm: int) -> Iterator[list[int]]:
    """Yield a list that has at the end the largest resident memory, in bytes, of the JVM and of its Python workers."""
    peak = [0, 0]
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            java, *others = map(status_of, family(jvm))
            workers = sum(size for name, size in others if name.startswith("python"))
            peak[:] = map(max, peak, (java[1], workers))

    sampling = threading.Thread(target=sample)
    sampling.start()
    try:
        yield peak
    finally:
        ended.set()
        sampling.join()


def status_of(pid: int) -> tuple[str, int]:
    """Return the name of a process and its resident memory in bytes; an empty name and 0 if it has ended.

    A child of the JVM that has not started its program yet shares the JVM's memory, and has the name of a JVM thread.
    """
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except ENDED:
        return "", 0
    fields = dict(line.split(":", 1) for line in lines)
    return fields["Name"].strip(), int(fields.get("VmRSS", "0 kB").split()[0]) * 1024


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--millions", type=int, default=10)
    parser.add_argument("--root", help="URI of an empty lake; by default a temporary folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
