"""All rules on generated events: what they find of the planted attacks, what else they report, and how long they take.

    python benchmarks/detections.py --seeds 5 --events 300000

Events are generated, decoded and enriched in one process, without Spark and without a broker, and copies become
duplicates as in silver. The rules have the thresholds of conf/detections.toml. No test uses the seeds. The floor reads
the columns of the same rows that rules read, and adds up the numbers.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pyarrow as pa
from harness import print_table, seconds_of

from gold.rules import load_rules
from gold.rules.evaluate_baselines import detect_all
from gold.rules.model import EVENT_COLUMNS
from lakehouse.settings import Settings
from loginlake.scoring import Score, Tally, score
from producer.events import DAY_SECONDS, SECOND, instant_of
from producer.generate import Plan, Stream, batch
from producer.records import Record
from silver.decode import RECORD_SCHEMA, DecodeRules, decode

FIRST_SEED = 2_001
START = 1_767_225_600 * SECOND  # 2026-01-01
DAYS, USERS, CASES = 45, 1_000, 5
RECORDS_AT_ONCE = 20_000
RECALL, PRECISION, SECONDS_PER_MILLION = 1.0, 0.95, 30.0
READ = [*EVENT_COLUMNS, "verdict", "auth_method", "failure_reason"]


@dataclass(frozen=True)
class Run:
    """What the rules found in the events of one seed.

    Attributes:
        seed: Seed of the events.
        accepted: Number of accepted events.
        rules_seconds: How long all rules took.
        floor_seconds: How long reading the same rows took.
        score: The comparison with the ground truth.
    """

    seed: int
    accepted: int
    rules_seconds: float
    floor_seconds: float
    score: Score

    @property
    def seconds_per_million(self) -> float:
        """Seconds of all rules per million accepted events."""
        return self.rules_seconds / self.accepted * 1_000_000


def main() -> None:
    """Print what the rules found, per rule and per seed."""
    arguments = _arguments()
    seeds = range(FIRST_SEED, FIRST_SEED + arguments.seeds)
    with TemporaryDirectory(prefix="loginlake-bench-") as folder:
        runs = [run(seed, events=arguments.events, folder=Path(folder)) for seed in seeds]
    print_rules([each.score for each in runs])
    print_seeds(runs)
    print_faults([each.score for each in runs])


def run(seed: int, *, events: int, folder: Path) -> Run:
    """Return what the rules find in the events of a seed."""
    plan = Plan(seed, START, users=USERS, cases=CASES)
    stream = batch(plan, events=events, end=START + DAYS * DAY_SECONDS * SECOND)
    file = folder / f"{seed}.parquet"
    silver_rows(stream).write_parquet(file)
    rows, rules = pl.scan_parquet(file), tuple(load_rules(Settings(_env_file=None)))
    detections: list[dict[str, Any]] = []
    rules_seconds = seconds_of(lambda: detections.extend(detect_all(rows, rules).to_pylist()))
    return Run(
        seed=seed,
        accepted=rows.filter(verdict="accepted").select(pl.len()).collect().item(),
        rules_seconds=rules_seconds,
        floor_seconds=seconds_of(partial(read, rows)),
        score=score([stream.truth.content()], detections, severities={rule.name: rule.severity for rule in rules}),
    )


def silver_rows(stream: Stream) -> pl.DataFrame:
    """Return the rows of silver.events of all records of a stream."""
    decoded = [decode(records, DecodeRules()) for records in record_batches(stream)]
    rows = pl.DataFrame(pa.Table.from_batches(decoded))
    is_copy = (pl.col("verdict") == "accepted") & ~pl.struct("verdict", "event_on", "event_id").is_first_distinct()
    return rows.with_columns(verdict=pl.when(is_copy).then(pl.lit("duplicate")).otherwise("verdict"))


def record_batches(stream: Iterable[Record]) -> Iterator[pa.RecordBatch]:
    """Yield the records of a stream as bronze rows of one partition."""
    numbered = enumerate(stream)
    while rows := [bronze_row(record, offset) for offset, record in islice(numbered, RECORDS_AT_ONCE)]:
        yield pa.RecordBatch.from_pylist(rows, schema=RECORD_SCHEMA)


def bronze_row(record: Record, offset: int) -> dict[str, Any]:
    """Return a record as bronze keeps it."""
    at = instant_of(record.at)
    headers = [{"key": name.encode(), "value": value} for name, value in record.headers]
    position = {"topic": "logs", "partition": 0, "offset": offset}
    return {"value": record.value, "headers": headers, **position, "appended_at": at, "ingested_at": at}


def read(rows: pl.LazyFrame) -> None:
    """Read the columns that rules read, and add up the numbers."""
    rows.select(READ).select(pl.len(), pl.selectors.integer().sum(), pl.selectors.string().count()).collect()


def print_rules(scores: list[Score]) -> None:
    """Print a row for each rule, and one for all of severity medium and higher."""
    severities = scores[0].severities
    rows = [(rule, severities[rule], *_figures(scores, rule)) for rule in severities]
    rows.append(("medium and higher", "", *_figures(scores, *scores[0].counted_rules)))
    columns = ("severity", "cases", "found", "recall", "alerts", "false", "precision", "a day", "a day, 1,000 users")
    print_table((f"rule, {len(scores)} seeds of {DAYS} days", *columns), rows)


def print_seeds(runs: list[Run]) -> None:
    """Print a row for each seed, and the goals."""
    rows = [
        (
            str(each.seed),
            each.accepted,
            each.score.total.recall,
            each.score.total.precision,
            f"{len(each.score.detected_look_alikes)} of {len(each.score.look_alikes)}",
            each.rules_seconds,
            each.seconds_per_million,
            each.floor_seconds,
        )
        for each in runs
    ]
    goals = ("goal", "", f"= {RECALL}", f"≥ {PRECISION}", "0", "", f"≤ {SECONDS_PER_MILLION:g}", "")
    columns = ("accepted", "recall", "precision", "look-alikes detected", "seconds", "per million", "floor")
    print_table(("seed", *columns), [*rows, goals])


def print_faults(scores: list[Score]) -> None:
    """Print every miss and every false alarm of severity medium and higher."""
    misses = [(rule, case.scenario, str(case.first_at)) for each in scores for rule, case in each.misses]
    alarms = [
        (alert.detection["rule"], alert.detection["entity"], alert.look_alike.scenario if alert.look_alike else "-")
        for each in scores
        for alert in each.false_alarms
    ]
    if misses:
        print_table(("missed by", "attack", "at"), misses)
    if alarms:
        print_table(("false alarm of", "entity", "look-alike"), alarms)


def _figures(scores: list[Score], *rules: str) -> tuple[object, ...]:
    """Return the figures of some rules over all seeds."""
    tallies = [each.tally(*rules) for each in scores]
    sums: Mapping[str, int] = {
        name: sum(getattr(tally, name) for tally in tallies) for name in ("cases", "found", "alerts", "false_alarms")
    }
    total, days = Tally(**sums), sum(each.days for each in scores)
    per_day = total.alerts / days
    recall, precision = (_share(value) for value in (total.recall, total.precision))
    return (
        total.cases,
        total.found,
        recall,
        total.alerts,
        total.false_alarms,
        precision,
        per_day,
        per_day * 1_000 / USERS,
    )


def _share(value: float | None) -> float | str:
    return "-" if value is None else value


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--events", type=int, default=300_000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
