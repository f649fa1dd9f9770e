# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Streaming: from Kafka to bronze
#
# Login events arrive in Kafka. The bronze stream copies every record, unparsed, into the Delta table `bronze.raw_logs`.
# Here we start that stream, watch its progress, stop it, and start it again.
#
# This notebook starts its own Kafka broker and Spark session, with a lake in a temporary folder that is removed at the
# end; `sandbox.py` in this folder has the functions for that. To use another lake, name its folder in `LAKE`: that of
# `make demo` is `"../data/lake"` (after the demo has ended), relative to the folder of this notebook. The broker's data
# is then in the folder `state` beside the lake.

# %%
LAKE = None

# %%
import atexit
from contextlib import ExitStack

from sandbox import notebook_settings, produce, running_lake

parts = ExitStack()
atexit.register(parts.close)  # stops everything, even if a cell fails
settings = parts.enter_context(notebook_settings(LAKE))
lake = parts.enter_context(running_lake(settings))

# %% [markdown]
# ## Send some records
#
# `produce` sends generated login events to the topic and returns how many Kafka has acknowledged. Before that,
# `ingest_once` reads the records that Kafka already has (none, unless you use another lake), and we count the rows.

# %%
from bronze.stream import ingest_once
from lakehouse.tables.bronze import RAW_LOGS

ingest_once(lake)
before = lake.read(RAW_LOGS).count()

sent = produce(settings, events=500)
print(f"{sent} records wait in topic {settings.topic}; bronze has {before} rows")
assert sent == 500

# %% [markdown]
# ## Start the stream
#
# `running_stream` is a context manager that yields Spark's own `StreamingQuery`. It holds bronze's lock, so that no
# other process writes the table, and stops the query when the block ends. `processAllAvailable` waits until every
# record that Kafka has now is in the table.

# %%
from bronze.stream import running_stream

stream = ExitStack()
parts.push(stream)  # the stream stops before Spark does
query = stream.enter_context(running_stream(lake, once=False))
query.processAllAvailable()

arrived = lake.read(RAW_LOGS).count()
print(f"bronze has {arrived} rows")
assert arrived == before + 500

# %% [markdown]
# ## Watch its progress
#
# Spark reports on every micro-batch: `query.lastProgress` is the newest report, `query.recentProgress` has the last
# hundred. A report has many fields; the two most useful are how many rows were read, and up to which offset of each
# partition.

# %%
import json

from pyspark.sql.streaming.listener import StreamingQueryProgress


def end_offsets(progress: StreamingQueryProgress) -> dict[str, int]:
    """Return, per partition, one past the last offset that a micro-batch read."""
    (source,) = json.loads(progress.json)["sources"]
    return source["endOffset"][settings.topic]


for progress in query.recentProgress:
    print(f"batch {progress.batchId}: {progress.numInputRows} rows read, up to {end_offsets(progress)}")

# %% [markdown]
# ("Rows read" counts rows twice if Spark reads them twice, which can happen in the first batch. Offsets are exact.)
#
# To see whether the stream has reached the end of the topic, we ask Kafka for its end offsets.

# %%
from lakehouse.kafka import partition_bounds

in_kafka = {str(partition): bounds.end for (_, partition), bounds in partition_bounds(settings).items()}
print("Kafka ends at", in_kafka)
assert end_offsets(query.lastProgress) == in_kafka

# %% [markdown]
# ## Send more while it runs
#
# The stream checks for new records every few seconds (`settings.bronze_trigger_seconds`), so it reads the records that
# we send now without being started again.

# %%
seen = sum(end_offsets(query.lastProgress).values())

produce(settings, events=300)
query.processAllAvailable()

print(f"{query.status['message']}, after {len(query.recentProgress)} batches")
assert sum(end_offsets(query.lastProgress).values()) == seen + 300
assert lake.read(RAW_LOGS).count() == before + 800

# %% [markdown]
# Nothing was parsed and nothing was dropped: a bronze row has the record's bytes and its position in Kafka. Silver
# decodes them; see the notebook `batch`.

# %%
newest = lake.read(RAW_LOGS).orderBy("ingested_at", "topic", "partition", "offset", ascending=False)
newest.selectExpr("partition", "offset", "appended_at", "left(cast(value as string), 60) as value").show(
    3, truncate=False
)

# %% [markdown]
# ## Stop
#
# Closing the block stops the query and releases the lock. Records that are sent meanwhile wait in Kafka.

# %%
stream.close()
assert not query.isActive

produce(settings, events=200)
print(f"bronze still has {lake.read(RAW_LOGS).count()} rows")
assert lake.read(RAW_LOGS).count() == before + 800

# %% [markdown]
# ## Start again
#
# Where does a new stream begin? After the last row that bronze has in each partition. The table itself records the
# progress, and there is no second record that could disagree with it.

# %%
from bronze.start import starting_offsets
from lakehouse.progress import read_bronze_progress

starting = starting_offsets(settings, read_bronze_progress(lake))
for (topic, partition), offset in starting.items():
    print(f"{topic}, partition {partition}: continue at offset {offset}")

# %%
query = stream.enter_context(running_stream(lake, once=False))
query.processAllAvailable()
ended = end_offsets(query.lastProgress)
stream.close()

resumed = sum(ended.values()) - sum(starting.values())
print(f"the second stream took {resumed} records")
assert resumed == 200

# %% [markdown]
# So every record is in bronze once: there are as many distinct positions as rows, and as many rows as records sent.

# %%
rows = lake.read(RAW_LOGS)
positions = rows.select("topic", "partition", "offset").distinct()
print(f"{rows.count()} rows at {positions.count()} positions")
assert rows.count() == positions.count() == before + 1000

# %% [markdown]
# ## The same without a running stream
#
# `ingest_once` reads everything that Kafka has now, and returns; `loginlake bronze --once` does the same. Here there is
# nothing new to read.

# %%
ingest_once(lake)
assert lake.read(RAW_LOGS).count() == before + 1000

# %% [markdown]
# ## The end
#
# This stops Spark and the broker and removes the temporary folder.

# %%
parts.close()
