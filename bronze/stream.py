"""The stream from Kafka to `bronze.raw_logs`: it starts where bronze's own rows end, and keeps no other state."""

from __future__ import annotations

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

from bronze.start import hold_topic_id, read_extent, refuse_other_topic, starting_offsets
from lakehouse import kafka
from lakehouse.clock import Clock, utc_now
from lakehouse.error_translation import translate_error
from lakehouse.errors import BrokerFailed, ClockWentBack, LakehouseError, StreamFailed
from lakehouse.extent import Extent
from lakehouse.lake import Lake
from lakehouse.locks import writer_lock
from lakehouse.maintenance import compacted, vacuum
from lakehouse.offsets import Offsets, Partition, offsets_from_json, offsets_to_json
from lakehouse.settings import Settings
from lakehouse.tables.bronze import RAW_LOGS

if TYPE_CHECKING:
    from pyspark.sql.streaming.query import StreamingQuery

log = structlog.get_logger()

# Spark's own reader rides out a broker that starts again; so do we.
BROKER_PATIENCE_SECONDS = 60.0
# For the batch in work when a stream is to stop.
STOP_SECONDS = 30.0
# Spark's Kafka consumer as it is by default waits for what is not there, and asks too often.
CONSUMING = {
    # A task that has read its last record has already asked for more, and its next question, where the partition ends,
    # is answered after that: for half a second the broker would hold back its answer that there is no more.
    "kafka.fetch.max.wait.ms": "10",
    # After each poll Spark asks for the partition's bounds: for every 500 records.
    "kafka.max.poll.records": "5000",
}


class Ingest:
    """Appends each micro-batch to bronze, at an instant later than the last one's.

    The order of instants is the order of arrival, by which silver settles who of two copies came first.

    Args:
        lake: Where bronze lies.
        extent: How far bronze has read.
        starting: Where the stream starts in each partition of its topic.
        clock: Gives the instant of the next batch.
        topic_id: The id of the topic that bronze is read from; Spark would go on with another of the same name.
    """

    def __init__(self, lake: Lake, *, extent: Extent, starting: Offsets, clock: Clock, topic_id: str) -> None:
        self.lake = lake
        self.extent = extent
        self.starting = starting
        self.clock = clock
        self.topic_id = topic_id
        self.maintained_at = clock()
        self.in_work = threading.Lock()
        self.stopping = threading.Event()
        self.failure: LakehouseError | None = None

    def __call__(self, records: DataFrame, batch_id: int) -> None:
        """Writes one batch, unless the stream is to stop: the next start reads it again; Spark calls this."""
        with self.in_work:
            if not self.stopping.is_set():
                self.write(records, batch_id)

    def write(self, records: DataFrame, batch_id: int) -> None:
        """Appends the records to bronze, and compacts bronze when it is time."""
        planned = _planned(self.lake.settings, batch_id)
        if planned == self.starting:  # the first batch after a start comes also where Kafka has nothing new
            return
        try:
            self.await_same_topic()
            ingested_at = self.checked_now()
        except LakehouseError as error:
            self.failure = error
            raise
        self.extent = Extent({**self.extent.offsets, **planned}, ingested_at)
        rows = records.withColumnsRenamed({"timestamp": "appended_at", "timestampType": "timestamp_type"})
        self.lake.append(
            RAW_LOGS,
            rows.withColumn("ingested_at", F.lit(ingested_at)).withColumn("ingested_on", F.lit(ingested_at.date())),
            user_metadata=self.extent.to_json(),
        )
        log.info("batch_written", table=RAW_LOGS.full_name, batch=batch_id)
        self.maintain(ingested_at)

    def stop(self, query: StreamingQuery) -> None:
        """Lets the batch in work end, or interrupts it after `STOP_SECONDS`; then stops the query.

        Where Spark interrupts a batch it looks for the cause in the whole text of our error, by a regular expression
        that may overflow the stack: the query then never ends.
        """
        self.stopping.set()
        if self.in_work.acquire(timeout=STOP_SECONDS):
            self.in_work.release()
        query.stop()

    def await_same_topic(self) -> None:
        """Holds the topic to be the one that bronze is read from, and waits for a broker that fails for a moment.

        Raises:
            TopicChanged: It is another.
            BrokerFailed: The broker does not come back, or the stream is to stop.
        """
        waiting = Retrying(
            retry=retry_if_exception_type(BrokerFailed),
            stop=stop_after_delay(BROKER_PATIENCE_SECONDS) | stop_when_event_set(self.stopping),
            wait=wait_fixed(1),
            sleep=sleep_using_event(self.stopping),
            before_sleep=lambda failed: log.warning("waiting_for_broker", attempt=failed.attempt_number),
            reraise=True,
        )
        waiting(refuse_other_topic, self.lake.settings, self.topic_id)

    def maintain(self, now: datetime) -> None:
        """Compacts bronze between two batches, when it is time: only who holds its lock may."""
        if now - self.maintained_at < timedelta(seconds=self.lake.settings.maintenance_interval_seconds):
            return
        self.maintained_at = now
        compacted(self.lake, RAW_LOGS)
        vacuum(self.lake, RAW_LOGS)

    def checked_now(self) -> datetime:
        """Now, which must be later than the last batch.

        Raises:
            ClockWentBack: It is not.
        """
        now, last = self.clock(), self.extent.last_ingest
        if last is not None and now <= last:
            raise ClockWentBack(
                f"The clock says {now.isoformat()}, but bronze has a batch of {last.isoformat()}",
                hint="Set the clock right, or wait until it is past that",
                now=now,
                last=last,
            )
        return now


@contextmanager
def running_stream(lake: Lake, *, once: bool, clock: Clock = utc_now) -> Iterator[StreamingQuery]:
    """The running stream for the block, under bronze's lock; it is stopped at the end.

    Args:
        lake: Where bronze lies; its settings name the topic, the pace and where scratch files go.
        once: Ends by itself when all that Kafka holds now is read.
        clock: Gives the ingest instant of each batch, UTC.

    Raises:
        LockHeld: Another bronze job runs.
        TopicChanged: Kafka's topic is another than bronze was read from, or has lost what bronze lacks.
        ClockWentBack: The clock is not past bronze's last batch.
        BrokerFailed: Kafka does not answer.
    """
    with writer_lock(lake, "bronze"):
        lake.ensure(RAW_LOGS)
        kafka.ensure_topic(lake.settings)
        topic_id = hold_topic_id(lake)
        extent = read_extent(lake)
        starting = starting_offsets(lake.settings, extent)
        ingest = Ingest(lake, extent=extent, starting=starting, clock=clock, topic_id=topic_id)
        ingest.checked_now()
        query = _start(lake, starting, ingest=ingest, once=once)
        try:
            yield query
        except StreamingQueryException as error:
            raise ingest.failure or _why_it_stopped(error, lake) from error
        finally:
            ingest.stop(query)


def ingest_once(lake: Lake) -> None:
    """Reads all that Kafka holds now into bronze."""
    with running_stream(lake, once=True) as query:
        query.awaitTermination()


def _why_it_stopped(error: StreamingQueryException, lake: Lake) -> LakehouseError:
    """What ended a running stream: what would refuse a start now, else what the machine did, else Spark's own words."""
    try:
        hold_topic_id(lake)
        starting_offsets(lake.settings, read_extent(lake))
    except LakehouseError as refusal:
        return refusal
    return translate_error(error) or StreamFailed(
        f"The bronze stream failed: {str(error.getMessage() or error).splitlines()[0]}",
        hint="Mend the cause and start bronze again; it goes on after its last row",
    )


def _start(lake: Lake, starting: Offsets, *, ingest: Ingest, once: bool) -> StreamingQuery:
    checkpoint = _checkpoint(lake.settings)
    shutil.rmtree(checkpoint, ignore_errors=True)
    records = (
        lake.spark.readStream.format("kafka")
        .options(**(CONSUMING | kafka.spark_options(lake.settings)))
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


def _planned(settings: Settings, batch_id: int) -> dict[Partition, int]:
    """Where a batch ends in each partition, as Spark has noted in the checkpoint before it began."""
    *_, offsets = (_checkpoint(settings) / "offsets" / str(batch_id)).read_text().splitlines()
    return offsets_from_json(offsets)
