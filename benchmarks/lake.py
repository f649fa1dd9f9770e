"""Bronze, silver and refresh, each compared with plain Spark on the same records in the same session.

    python benchmarks/lake.py --events 1000000

Bronze catches up with a topic; the peer is Spark's Kafka source with its default options, written to the noop sink.
Silver decodes all of bronze; the peer is Spark's from_json, dropDuplicates and a Delta write. Refresh adds 5,000 events
to this lake and the same 5,000 to a lake of a tenth of its size: its cost must follow the change, not the lake.
"""

from __future__ import annotations

import argparse
import shutil
from functools import partial
from pathlib import Path
from statistics import median
from uuid import uuid4

import msgspec
from harness import empty_lake, print_table, seconds_of
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from bronze.stream import ingest_once
from lakehouse import kafka
from lakehouse.lake import Lake
from lakehouse.schema import struct_type
from lakehouse.session import spark_session
from lakehouse.settings import Settings
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.silver import EVENTS
from loginlake.pipeline import refresh
from producer.events import DAY_SECONDS, SECOND
from producer.generate import Plan, batch
from producer.publish import publish
from silver.formats.login import Login
from silver.job import update_silver

START = 1_772_323_200 * SECOND  # 1 March 2026
DAYS = 30
END = START + DAYS * DAY_SECONDS * SECOND
NEW_EVENTS = 5_000
# The time in which the lake receives this many events: new events arrive at the same rate.
NEW_SPAN = DAYS * DAY_SECONDS * SECOND * NEW_EVENTS // 1_000_000


def main() -> None:
    """Print one table for bronze, one for silver, one for refresh."""
    arguments = _arguments()
    with empty_lake() as settings:
        spark = spark_session(settings, job="benchmark")
        lake = Lake(spark, settings)
        bronze_against_noop(lake, arguments)
        silver_against_from_json(lake, arguments)
        refresh_at_two_sizes(lake, arguments)
        spark.stop()


def bronze_against_noop(lake: Lake, arguments: argparse.Namespace) -> None:
    """Time how long bronze takes to read all events but the first, and the noop sink to read all of them."""
    produce(lake.settings, events=1)
    behind = [lake, *(_empty_copy(lake) for _ in range(1, arguments.rounds))]
    for each in behind:
        ingest_once(each)
    produce(lake.settings, events=arguments.events)
    noop, ours = [], []
    for each in behind:
        noop.append(seconds_of(lambda: _to_noop(lake)))
        ours.append(seconds_of(partial(ingest_once, each)))
    rows = [("Kafka → noop", arguments.events, min(noop), arguments.events / min(noop), "", "")]
    rows.append(("bronze", arguments.events, min(ours), arguments.events / min(ours), min(noop) / min(ours), "≥ 0.60"))
    print_table(("bronze", "records", "seconds", "records/s", "ratio", "goal"), rows)


def silver_against_from_json(lake: Lake, arguments: argparse.Namespace) -> None:
    """Time how long silver takes to decode all of bronze."""
    peer, ours = [], []
    for each in [*(_empty_copy(lake) for _ in range(1, arguments.rounds)), lake]:
        if each is not lake:
            shutil.copytree(Path(lake.settings.root) / "bronze", Path(each.settings.root) / "bronze")
        peer.append(seconds_of(partial(_from_json, each)))
        ours.append(seconds_of(partial(update_silver, each)))
    rows = [("from_json → dropDuplicates → Delta", arguments.events, min(peer), arguments.events / min(peer), "", "")]
    rows.append(("silver", arguments.events, min(ours), arguments.events / min(ours), min(ours) / min(peer), "≤ 1.50"))
    print_table(("silver", "records", "seconds", "records/s", "ratio", "goal"), rows)


def refresh_at_two_sizes(large: Lake, arguments: argparse.Namespace) -> None:
    """Time a refresh of 5,000 new events on a large lake and on a lake of a tenth of its size."""
    topic = f"small-{uuid4().hex[:8]}"
    small = Lake(
        large.spark, large.settings.model_copy(update={"root": f"{large.settings.root}-small", "topic": topic})
    )
    produce(small.settings, events=arguments.events // 10)
    first, later = {}, {}
    for name, lake in (("small", small), ("large", large)):
        ingest_once(lake)
        first[name] = seconds_of(partial(refresh, lake))
        later[name] = []
    for number in range(arguments.rounds):
        for name, lake in (("small", small), ("large", large)):
            later[name].append(_refresh_of_new(lake, number))
    sizes = {"small": arguments.events // 10, "large": arguments.events}
    ratio = median(later["large"]) / median(later["small"])
    print_table(
        ("refresh of 5,000 new rows", "lake", "first refresh", "seconds", "ratio", "goal"),
        [
            ("small", sizes["small"], first["small"], median(later["small"]), "", ""),
            ("large", sizes["large"], first["large"], median(later["large"]), ratio, "≤ 15 s, ≤ 1.30"),
        ],
    )


def produce(settings: Settings, *, events: int) -> None:
    """Send events of 30 days to the topic."""
    produce_between(settings, events=events, seed=7, start=START, end=END)


def produce_between(settings: Settings, *, events: int, seed: int, start: int, end: int) -> None:
    """Send events of the time between two instants, in milliseconds since the epoch, to the topic."""
    kafka.ensure_topic(settings)
    publish(batch(Plan(seed=seed, start=start), events=events, end=end), settings)


def _refresh_of_new(lake: Lake, number: int) -> float:
    start = END + number * NEW_SPAN
    produce_between(lake.settings, events=NEW_EVENTS, seed=100 + number, start=start, end=start + NEW_SPAN)
    ingest_once(lake)
    return seconds_of(lambda: refresh(lake))


def _to_noop(lake: Lake) -> None:
    settings = lake.settings
    records = (
        lake.spark.readStream.format("kafka")
        .options(**kafka.spark_options(settings))
        .option("subscribe", settings.topic)
        .option("startingOffsets", "earliest")
        .option("includeHeaders", "true")
        .option("maxOffsetsPerTrigger", settings.bronze_max_offsets_per_trigger)
        .load()
    )
    checkpoint = settings.state / f"noop-{uuid4().hex}"
    writer = records.writeStream.format("noop").option("checkpointLocation", str(checkpoint))
    writer.trigger(availableNow=True).start().awaitTermination()


def _from_json(lake: Lake) -> None:
    columns = [field.name for field in msgspec.structs.fields(Login)]
    schema = struct_type(EVENTS)
    login_columns = ", ".join(f"{name} {schema[name].dataType.simpleString()}" for name in columns)
    parsed = lake.read(RAW_LOGS).select(
        F.from_json(F.col("value").cast("string"), login_columns).alias("login"), "topic", "partition", "offset"
    )
    events = parsed.select("login.*", "topic", "partition", "offset").withColumn("event_on", F.to_date("event_at"))
    target = f"{lake.settings.root}-peer"
    unique = events.dropDuplicates(["event_on", "event_id"])
    unique.write.format("delta").partitionBy("event_on").mode("overwrite").save(target)


def _empty_copy(lake: Lake) -> Lake:
    return lake.with_settings(root=f"{lake.settings.root}-{uuid4().hex[:8]}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
