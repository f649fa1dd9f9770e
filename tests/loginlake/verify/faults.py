"""Faults that tests put into a lake, by the claim of `verify` that each one breaks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa

from lakehouse.progress import BronzeProgress, SilverProgress
from lakehouse.tables import TABLES
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import FIRST_SEEN, RESTATEMENTS, SNAPSHOTS
from lakehouse.tables.metrics import IP_ACTIVITY, PAIR_ACTIVITY, USER_ACTIVITY
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from tests.loginlake.verify.lakes import NOON, OFFSETS, RAW_SCHEMA, HandmadeLake
from tests.serving.lakes import retain_from

Fault = Callable[[HandmadeLake], None]
DAY = timedelta(days=1)
IPS, USERS = IP_ACTIVITY.table, USER_ACTIVITY.table


def commit(lake: HandmadeLake, table: Table, version: int) -> Path:
    return lake.log(table) / f"{version:020}.json"


def last_commit(lake: HandmadeLake, table: Table) -> Path:
    return commit(lake, table, lake.table(table).version())


def a_data_file(lake: HandmadeLake, table: Table) -> Path:
    """Return a file that the newest version needs."""
    return Path(lake.uri(table)) / sorted(pl.Series(lake.table(table).file_uris()))[0].rpartition(f"{table.name}/")[2]


def cell(table: Table, value: pl.Expr, *, where: pl.Expr) -> Fault:
    """Change a column in some rows."""

    def write(lake: HandmadeLake) -> None:
        name = value.meta.output_name()
        rows = pl.read_delta(lake.uri(table))
        rows = rows.with_columns(pl.when(where).then(value).otherwise(pl.col(name)).alias(name))
        lake.overwrite(table, rows.to_arrow())

    return write


def rewritten(table: Table, value: pl.Expr, *, where: pl.Expr) -> Fault:
    """Change a column in some rows, and publish the versions."""

    def write(lake: HandmadeLake) -> None:
        cell(table, value, where=where)(lake)
        publish_versions(lake)

    return write


def publish_versions(lake: HandmadeLake) -> None:
    """Publish the newest versions with the offsets of the last snapshot."""
    lake.append_snapshot(4, OFFSETS)


def silver_without(condition: str) -> Fault:
    def delete(lake: HandmadeLake) -> None:
        lake.table(EVENTS).delete(condition)
        publish_versions(lake)

    return delete


def repeated(table: Table, offsets: pl.Expr) -> Fault:
    def append(lake: HandmadeLake) -> None:
        rows = pl.read_delta(lake.uri(table)).filter((pl.col("partition") == 0) & offsets)
        rows.write_delta(lake.uri(table), mode="append")

    return append


def a_snapshot(number: int = 4, **values: object) -> Fault:
    return lambda lake: lake.append_snapshot(number, OFFSETS, **values)


def a_checkpoint(lake: HandmadeLake, table: Table) -> Path:
    lake.table(table).create_checkpoint()
    return next(lake.log(table).glob("*.checkpoint.parquet"))


def deleted(path: Callable[[HandmadeLake], Path]) -> Fault:
    return lambda lake: path(lake).unlink()


def filled(path: Callable[[HandmadeLake], Path], content: bytes) -> Fault:
    return lambda lake: path(lake).write_bytes(content)


def cut(path: Callable[[HandmadeLake], Path]) -> Fault:
    return lambda lake: path(lake).write_bytes(path(lake).read_bytes()[:-9])


def without_earlier_commits(lake: HandmadeLake) -> None:
    """Do what maintenance does to a log: a checkpoint replaces the commits before it; their snapshots have expired."""
    retain_from(lake.settings, 3)
    a_checkpoint(lake, IPS)
    for version in range(3):
        commit(lake, IPS, version).unlink()


def a_lost_checkpoint(lake: HandmadeLake) -> None:
    a_checkpoint(lake, IPS).unlink()


def lost_with_its_commits(lake: HandmadeLake) -> None:
    without_earlier_commits(lake)
    next(lake.log(IPS).glob("*.checkpoint.parquet")).unlink()


def silver_data(lake: HandmadeLake) -> Path:
    return a_data_file(lake, EVENTS)


def first_of_pairs(lake: HandmadeLake) -> Path:
    return commit(lake, PAIR_ACTIVITY, 1)


def last_of_ips(lake: HandmadeLake) -> Path:
    return last_commit(lake, IPS)


def last_checkpoint_of_ips(lake: HandmadeLake) -> Path:
    a_checkpoint(lake, IPS)
    return lake.log(IPS) / "_last_checkpoint"


def in_another_partition(lake: HandmadeLake) -> None:
    path = last_of_ips(lake)
    path.write_text(path.read_text().replace('"window_on":"2026-03-02"', '"window_on":"2026-03-05"'))


def a_restatement(*snapshots: int) -> Fault:
    row = {"table_name": IPS.full_name, "key": "{}", "window_at": NOON}

    def append(lake: HandmadeLake) -> None:
        rows = [row | {"snapshot_id": number} for number in snapshots]
        lake.append(RESTATEMENTS, pa.Table.from_pylist(rows, schema=RESTATEMENTS.arrow_schema()))
        publish_versions(lake)

    return append


IS_ADA = pl.col("username") == "ada"
# For each claim its faults by name: what is done to the lake, and a part of the detail that must be reported.
FAULTS: dict[str, dict[str, tuple[Fault, str]]] = {
    "silver has every bronze row up to its last position": {
        "one silver row": (silver_without("partition = 0 AND offset = 17"), "logs:0:17 missing"),
        "consecutive silver rows": (silver_without("partition = 0 AND offset BETWEEN 3 AND 9"), "logs:0:3-9 missing"),
    },
    "silver has every position only once": {
        "a repeated row in silver": (
            repeated(EVENTS, pl.col("offset").is_between(4, 6)),
            "logs:0:4-6 appears more than once",
        ),
    },
    "bronze has every position only once": {
        "a repeated row in bronze": (repeated(RAW_LOGS, pl.col("offset") == 4), "logs:0:4 appears more than once"),
    },
    "bronze has every silver row": {
        "bronze rows that silver has": (lambda lake: lake.table(RAW_LOGS).delete("offset = 2"), "logs:0:2 missing"),
    },
    "the next offsets that bronze's newest commit records are past its rows": {
        "recorded offsets below bronze's rows": (
            lambda lake: lake.append_raw([], read={("logs", 0): 32}),
            "logs:0 the commit records 32, bronze has 32",
        ),
    },
    "the ingest time that bronze's newest commit records is not before its last row": {
        "a recorded ingest time before bronze's rows": (
            lambda lake: lake.append(RAW_LOGS, RAW_SCHEMA.empty_table(), BronzeProgress(OFFSETS, NOON).to_json()),
            "the commit records 2026-03-02 12:00:00+00:00, bronze has 2026-03-02 13:",
        ),
    },
    "the ingest day that silver's newest commit records is that of its rows": {
        "a recorded ingest day without silver rows": (
            lambda lake: lake.append(
                EVENTS, EVENTS.arrow_schema().empty_table(), SilverProgress(OFFSETS, NOON.date() + DAY, {}).to_json()
            ),
            "the commit records 2026-03-03, silver has 2026-03-02",
        ),
    },
    "the next offsets that silver's newest commit records are those of its rows": {
        "recorded offsets other than silver's": (
            lambda lake: lake.append(
                EVENTS,
                EVENTS.arrow_schema().empty_table(),
                SilverProgress({("logs", 0): 32}, NOON.date(), {}).to_json(),
            ),
            "logs:0 the commit records 32, silver has 33",
        ),
    },
    "the Delta log of every table is complete and readable": {
        "a file in another partition": (in_another_partition, "gold.ip_activity has a commit 3 that puts window_on="),
        "a missing commit": (deleted(first_of_pairs), "gold.pair_activity_hourly has lost commit 1"),
        "an empty commit": (filled(first_of_pairs, b""), "gold.pair_activity_hourly has an empty commit 1"),
        "a corrupt commit": (
            filled(first_of_pairs, b"\x00\xff{"),
            "gold.pair_activity_hourly has a commit 1 that can't",
        ),
        "an empty last commit": (filled(last_of_ips, b""), "gold.ip_activity has an empty commit 3"),
        "a corrupt last commit": (filled(last_of_ips, b"{]"), "gold.ip_activity has a commit 3 that can't be read"),
        "a missing checkpoint": (a_lost_checkpoint, "gold.ip_activity has lost checkpoint 3, which"),
        "a missing checkpoint and its commits": (
            lost_with_its_commits,
            "gold.ip_activity has no checkpoint for the commits",
        ),
        "an empty checkpoint": (filled(lambda lake: a_checkpoint(lake, IPS), b""), "has a checkpoint 3 that can't"),
        "a corrupt _last_checkpoint": (
            filled(last_checkpoint_of_ips, b"soon"),
            "gold.ip_activity has a _last_checkpoint that can't",
        ),
        "an empty last commit of the snapshots": (
            filled(lambda lake: last_commit(lake, SNAPSHOTS), b""),
            "gold.snapshots has an empty commit 3",
        ),
    },
    "each restatement appears once and belongs to a published snapshot": {
        "a restatement of no snapshot": (a_restatement(9), "1 restatements belong to snapshot 9, which has none"),
        "a repeated restatement": (a_restatement(2, 2), "1 restatements appear more than once"),
    },
    "no published snapshot was lost": {
        "all snapshots": (
            lambda lake: lake.table(SNAPSHOTS).delete(),
            "snapshot 3 is recorded in a commit but missing in gold.snapshots",
        ),
        "all snapshots and their log": (
            lambda lake: (a_restatement(2)(lake), shutil.rmtree(lake.uri(SNAPSHOTS))),
            "1 restatements belong to snapshots that gold.snapshots does not have",
        ),
    },
    "silver accepts each event id once per event day": {
        "an id accepted twice": (
            rewritten(EVENTS, pl.lit("f0-1").alias("event_id"), where=pl.col("event_id") == "f0-2"),
            "2026-03-02 f0-1 is accepted 2 times",
        ),
    },
    "each duplicate names an accepted row with the same event day and id": {
        "a winner that does not exist": (
            rewritten(EVENTS, pl.lit(99, pl.Int64).alias("winner_offset"), where=pl.col("verdict") == "duplicate"),
            "logs:1:0 names a row that is not accepted or has another id",
        ),
    },
    "attempts, successes, failures of gold.pair_activity_hourly add up to silver's": {
        "attempts in the base": (
            rewritten(PAIR_ACTIVITY, pl.lit(7, pl.Int64).alias("attempts"), where=IS_ADA),
            "gold.pair_activity_hourly has 45 attempts, silver has 27",
        ),
    },
    "attempts, successes, failures of gold.user_activity add up to silver's": {
        "successes in a metric": (
            rewritten(USERS, pl.lit(0, pl.Int64).alias("successes"), where=IS_ADA),
            "gold.user_activity has 0 successes, silver has 3",
        ),
    },
    "gold.first_seen has as many values of each kind as silver": {
        "a value that no login has": (
            rewritten(FIRST_SEEN, pl.lit("app").alias("kind"), where=pl.col("kind") == "agent"),
            "gold.first_seen has 2 of kind app, silver has 1",
        ),
    },
    "snapshot ids have no gaps, and times, versions and offsets never decrease": {
        "a missing snapshot": (a_snapshot(5), "snapshot 4 is missing"),
        "millions of missing snapshots": (a_snapshot(5_000_000), "snapshots 4-4999999 are missing"),
        "a repeated snapshot": (a_snapshot(3), "snapshot 3 appears 2 times"),
        "a snapshot time that decreases": (
            a_snapshot(at=NOON),
            "snapshot 4 is of 2026-03-02T12:00:00Z, not later than",
        ),
        "a version that decreases": (
            a_snapshot(
                versions=json.dumps(
                    {name: 1 for name in TABLES if name not in ("bronze.raw_logs", "gold.snapshots", "gold.labels")}
                )
            ),
            "snapshot 4 names version 1 of gold.app_activity, snapshot 3 names 3",
        ),
        "offsets that decrease": (
            a_snapshot(offsets='{"logs":{"0":33,"1":5}}'),
            "snapshot 4 covers logs:1 up to 5, snapshot 3 up to 6",
        ),
    },
    "each snapshot equals what its commit records": {
        "a snapshot that differs from its commit": (
            a_snapshot(last_append_at=NOON - DAY),
            "snapshot 4 differs from its commit in last_append_at",
        ),
    },
    "the offsets of snapshot 4 are those of its silver rows": {
        "offsets past silver's": (
            a_snapshot(offsets='{"logs":{"0":34,"1":6}}'),
            "logs:0 the snapshot records 34, silver has 33",
        ),
    },
    "every version that a retained snapshot names exists": {
        "a missing last commit": (
            deleted(last_of_ips),
            "gold.ip_activity ends at version 2, but snapshot 3 names 3: commit 3 lost",
        ),
    },
    "every data file exists and has the size that the log records": {
        "a missing data file": (deleted(silver_data), ".parquet is missing"),
        "a truncated data file": (cut(silver_data), "bytes, the log records"),
        "an empty data file": (filled(silver_data, b""), " has 0 bytes, the log records"),
        "a missing bronze file": (
            deleted(lambda lake: a_data_file(lake, RAW_LOGS)),
            "bronze.raw_logs/ingested_on=2026-03-02/",
        ),
    },
}
