"""The stream from Kafka to `bronze.raw_logs`; it starts after bronze's last row and keeps no other state."""

from __future__ import annotations

import math
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, stop_when_event_set, wait_fixed
from tenacity.nap import sleep_using_event

from bronze.start import check_topic_id, starting_offsets
from lakehouse import kafka
from lakehouse.clock import Clock, instant_text, utc_now
from lakehouse.error_translation import translate_error
from lakehouse.errors import BrokerFailed, ClockWentBack, LakehouseError, StreamFailed
from lakehouse.lake import Lake
from lakehouse.locks import writer_lock
from lakehouse.maintenance import compact, vacuum
from lakehouse.progress import (
    BronzeProgress,
    Offsets,
    Partition,
    offsets_from_json,
    offsets_to_json,
    read_bronze_progress,
)
from lakehouse.settings import Settings
from lakehouse.steps import step
from lakehouse.tables.bronze import RAW_LOGS

if TYPE_CHECKING:
    from pyspark.sql.streaming.query import StreamingQuery

log = structlog.get_logger()

# Spark's reader survives a restart of the broker; so do the checks before each batch.
BROKER_RESTART_SECONDS = 60.0
# How long a batch that is being written may take after the stream was asked to stop.
STOP_SECONDS = 30.0
# A batch with fewer records is one task that writes one file, however many partitions the topic has.
RECORDS_PER_FILE = 100_000
# The defaults of Spark's Kafka consumer wait for records that do not exist, and poll too often.
CONSUMER_OPTIONS = {
    # After its last record a task has already sent the next fetch, and asks for the end of the partition. The broker
    # answers in order: it would first wait half a second for records of that fetch.
    "kafka.fetch.max.wait.ms": "10",
    # Spark asks for the bounds of the partition after each poll: by default every 500 records.
    "kafka.max.poll.records": "5000",
}


class Ingest:
    """The writer of the stream: appends each micro-batch to bronze with an ingest instant later than the last one.

    The order of the ingest instants is the order of arrival, by which silver decides which copy of an event wins.

    Args:
        lake: The lake.
        progress: How far bronze has read.
        starting: The first offset that the stream reads of each partition.
        clock: Returns the ingest instant of the next batch.
        topic_id: The id of the topic that bronze was read from; Spark would silently read a recreated topic.
    """

    def __init__(self, lake: Lake, *, progress: BronzeProgress, starting: Offsets, clock: Clock, topic_id: str) -> None:
        self.lake = lake
        self.progress = progress
        self.starting = starting
        self.clock = clock
        self.topic_id = topic_id
        self.maintained_at = clock()
        self.writing = threading.Lock()
        self.stopping = threading.Event()
        self.failure: LakehouseError | None = None

    def __call__(self, records: DataFrame, batch_id: int) -> None:
        """Write one batch, unless the stream was asked to stop; then the next start reads the batch again."""
        with self.writing:
            if not self.stopping.is_set():
                self.write(records, batch_id)

    def write(self, records: DataFrame, batch_id: int) -> None:
        """Append the records to bronze, and compact bronze if it is due."""
        planned = _planned_offsets(self.lake.settings, batch_id)
        if planned == self.starting:  # the first batch after a start, without new records
            return
        try:
            self.wait_for_same_topic()
            ingested_at = self.checked_now()
        except LakehouseError as error:
            self.failure = error
            raise
        read = {**self.starting, **self.progress.offsets}
        files = files_for(sum(end - read.get(at, 0) for at, end in planned.items()))
        self.progress = BronzeProgress({**self.progress.offsets, **planned}, ingested_at)
        named = records.withColumnsRenamed({"timestamp": "appended_at", "timestampType": "timestamp_type"})
        rows = named.coalesce(files).withColumn("ingested_at", F.lit(ingested_at))
        rows = rows.withColumn("ingested_on", F.lit(ingested_at.date()))
        try:
            self.lake.append(RAW_LOGS, rows, user_metadata=self.progress.to_json())
        except LakehouseError as error:
            self.failure = error
            raise
        log.info("batch_written", table=RAW_LOGS.full_name, batch=batch_id)
        self.maintain(ingested_at)

    def stop(self, query: StreamingQuery) -> None:
        """Stop the query after the batch that is being written, or after `STOP_SECONDS`.

        Interrupting a batch is the last resort: Spark then searches the text of our error with a regular expression
        that can overflow the stack, and the query never ends.
        """
        self.stopping.set()
        if self.writing.acquire(timeout=STOP_SECONDS):
            self.writing.release()
        query.stop()

    def wait_for_same_topic(self) -> None:
        """Return when the broker has the topic that bronze was read from; wait for a broker that restarts.

        Raises:
            TopicChanged: The topic was recreated.
            BrokerFailed: The broker did not answer in time, or the stream was asked to stop.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(BrokerFailed),
            stop=stop_after_delay(BROKER_RESTART_SECONDS) | stop_when_event_set(self.stopping),
            wait=wait_fixed(1),
            sleep=sleep_using_event(self.stopping),
            before_sleep=lambda failed: log.warning("waiting_for_broker", attempt=failed.attempt_number),
            reraise=True,
        )
        retrying(kafka.require_topic_id, self.lake.settings, self.topic_id)

    def maintain(self, now: datetime) -> None:
        """Compact bronze between two batches, if it is due; this job holds the lock that it takes."""
        if now - self.maintained_at < timedelta(seconds=self.lake.settings.maintenance_interval_seconds):
            return
        self.maintained_at = now
        compact(self.lake, RAW_LOGS)
        vacuum(self.lake, RAW_LOGS)

    def checked_now(self) -> datetime:
        """Return the current instant.

        Raises:
            ClockWentBack: It is not later than the last batch.
        """
        now, last = self.clock(), self.progress.last_ingest
        if last is not None and now <= last:
            raise ClockWentBack(
                f"The clock is at {instant_text(now)}, but bronze's newest batch is from {instant_text(last)}",
                hint="Correct the clock, or wait until it has passed that instant",
                now=now,
                last=last,
            )
        return now


@contextmanager
def running_stream(lake: Lake, *, once: bool, clock: Clock = utc_now) -> Iterator[StreamingQuery]:
    """Run the stream for the duration of the block, under the lock of bronze.

    Args:
        lake: The lake; its settings name the topic, the trigger and the folder of scratch files.
        once: Stop after the records that Kafka has now.
        clock: Returns the ingest instant of each batch, UTC.

    Raises:
        LockHeld: Another bronze job is running.
        TopicChanged: The topic was recreated, or has lost records that bronze lacks.
        ClockWentBack: The clock is not later than bronze's last batch.
        BrokerFailed: The broker does not answer.
    """
    with writer_lock(lake, "bronze"):
        lake.ensure(RAW_LOGS)
        kafka.ensure_topic(lake.settings)
        topic_id = check_topic_id(lake)
        progress = read_bronze_progress(lake)
        starting = starting_offsets(lake.settings, progress)
        ingest = Ingest(lake, progress=progress, starting=starting, clock=clock, topic_id=topic_id)
        ingest.checked_now()
        query = _start(lake, starting, ingest=ingest, once=once)
        try:
            yield query
        except StreamingQueryException as error:
            raise ingest.failure or _stop_error(error, lake) from error
        finally:
            ingest.stop(query)


def files_for(records: int) -> int:
    """Return the largest number of files that a batch of this many records is written to."""
    return max(1, math.ceil(records / RECORDS_PER_FILE))


@step("Storing the records of Kafka")
def ingest_once(lake: Lake) -> None:
    """Read the records that Kafka has now into bronze."""
    with running_stream(lake, once=True) as query:
        query.awaitTermination()


def _stop_error(error: StreamingQueryException, lake: Lake) -> LakehouseError:
    """Return the error of a failed stream: what a start raises now, else a translated error, else Spark's message."""
    try:
        check_topic_id(lake)
        starting_offsets(lake.settings, read_bronze_progress(lake))
    except LakehouseError as refusal:
        return refusal
    return translate_error(error) or StreamFailed(
        f"The bronze stream failed: {str(error.getMessage() or error).splitlines()[0]}",
        hint="Fix the cause and start bronze again; it continues after its last row",
    )


def _start(lake: Lake, starting: Offsets, *, ingest: Ingest, once: bool) -> StreamingQuery:
    checkpoint = _checkpoint(lake.settings)
    shutil.rmtree(checkpoint, ignore_errors=True)
    records = (
        lake.spark.readStream.format("kafka")
        .options(**(CONSUMER_OPTIONS | kafka.spark_options(lake.settings)))
        .option("subscribe", lake.settings.topic)
        .option("startingOffsets", offsets_to_json(starting))
        .option("failOnDataLoss", "true")
        .option("kafka.isolation.level", "read_committed")
        .option("includeHeaders", "true")
        .option("maxOffsetsPerTrigger", lake.settings.bronze_max_offsets_per_trigger)
        .load()
    )
    writer = records.writeStream.foreachBatch(ingest).option("checkpointLocation", str(checkpoint)).queryName("bronze")
    if once:
        return writer.trigger(availableNow=True).start()
    return writer.trigger(processingTime=f"{lake.settings.bronze_trigger_seconds} seconds").start()


def _checkpoint(settings: Settings) -> Path:
    return settings.state.resolve() / "bronze-checkpoint"


def _planned_offsets(settings: Settings, batch_id: int) -> dict[Partition, int]:
    """Return the end of a batch in each partition, which Spark has written to the checkpoint before the batch."""
    *_, offsets = (_checkpoint(settings) / "offsets" / str(batch_id)).read_text().splitlines()
    return offsets_from_json(offsets)
