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
# Login events arrive in Kafka. The bronze stream copies every record, as it is, into the Delta table
# `bronze.raw_logs`. Here we start that stream, watch it, stop it, and start it again.
#
# This notebook has a Kafka broker, a Spark session and a lake of its own, in a temporary folder that is removed at the
# end. To run it on the lake of `make demo` (once that has ended), change two lines of the next cell: import
# `load_settings` from `lakehouse.settings`, and make `settings` be `load_settings(root="../data/lake",
# state="../data/state")`, with both paths as seen from where you start it.

# %%
import atexit
from contextlib import ExitStack

from sandbox import produce, running_lake, sandbox_settings

parts = ExitStack()
atexit.register(parts.close)  # what was started also ends when a cell fails
settings = parts.enter_context(sandbox_settings())
lake = parts.enter_context(running_lake(settings))

# %% [markdown]
# ## Something to read
#
# `produce` sends generated login events to the topic, and returns how many Kafka has acknowledged. Before that we bring
# bronze up to what Kafka holds already, which for a lake of its own is nothing, and count.

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
# `running_stream` gives Spark's own `StreamingQuery`. It is a context manager: it holds bronze's lock, so that nobody
# else writes the table, and it stops the query at its end. `processAllAvailable` waits until all that Kafka has by now
# is in the table.

# %%
from bronze.stream import running_stream

stream = ExitStack()
parts.push(stream)  # it ends before the lake does
query = stream.enter_context(running_stream(lake, once=False))
query.processAllAvailable()

arrived = lake.read(RAW_LOGS).count()
print(f"bronze has {arrived} rows")
assert arrived == before + 500

# %% [markdown]
# ## Watch its progress
#
# Spark reports on every micro-batch: `query.lastProgress` is the newest report, `query.recentProgress` are the last
# hundred. A report has many parts; two say most: how many rows were read, and up to which offset of each partition.

# %%
import json

from pyspark.sql.streaming.listener import StreamingQueryProgress


def end_offsets(progress: StreamingQueryProgress) -> dict[str, int]:
    """Where a micro-batch ended: one past the last offset that it took, per partition."""
    (source,) = json.loads(progress.json)["sources"]
    return source["endOffset"][settings.topic]


for progress in query.recentProgress:
    print(f"batch {progress.batchId}: {progress.numInputRows} rows read, up to {end_offsets(progress)}")

# %% [markdown]
# (Rows that Spark looks at twice, as it may in the first batch, are counted twice in "rows read". Offsets are exact.)
#
# Is the stream at the end of the topic? Kafka knows.

# %%
from lakehouse.kafka import partition_bounds

in_kafka = {str(partition): bounds.end for (_, partition), bounds in partition_bounds(settings).items()}
print("Kafka ends at", in_kafka)
assert end_offsets(query.lastProgress) == in_kafka

# %% [markdown]
# ## More, while it runs
#
# The stream checks for new records every few seconds (`settings.bronze_trigger_seconds`), so records that we send now
# arrive without another start.

# %%
seen = sum(end_offsets(query.lastProgress).values())

produce(settings, events=300)
query.processAllAvailable()

print(f"{query.status['message']}, after {len(query.recentProgress)} batches")
assert sum(end_offsets(query.lastProgress).values()) == seen + 300
assert lake.read(RAW_LOGS).count() == before + 800

# %% [markdown]
# Nothing was parsed and nothing dropped: a bronze row is the record's bytes and its position in Kafka. Meaning comes
# in silver; see the notebook `batch`.

# %%
newest = lake.read(RAW_LOGS).orderBy("ingested_at", "topic", "partition", "offset", ascending=False)
newest.selectExpr("partition", "offset", "appended_at", "left(cast(value as string), 60) as value").show(
    3, truncate=False
)

# %% [markdown]
# ## Stop
#
# Closing the block stops the query and frees the lock. What is sent meanwhile waits in Kafka.

# %%
stream.close()
assert not query.isActive

produce(settings, events=200)
print(f"bronze still has {lake.read(RAW_LOGS).count()} rows")
assert lake.read(RAW_LOGS).count() == before + 800

# %% [markdown]
# ## Start again
#
# Where does a new stream begin? After the last row that bronze has, in each partition: the table itself is the
# bookmark, and there is no other that could disagree with it.

# %%
from bronze.start import read_extent, starting_offsets

starting = starting_offsets(settings, read_extent(lake))
for (topic, partition), offset in starting.items():
    print(f"{topic}, partition {partition}: go on at offset {offset}")

# %%
query = stream.enter_context(running_stream(lake, once=False))
query.processAllAvailable()
ended = end_offsets(query.lastProgress)
stream.close()

resumed = sum(ended.values()) - sum(starting.values())
print(f"the second stream took {resumed} records")
assert resumed == 200

# %% [markdown]
# So every record stands in bronze once: as many distinct positions as rows, and as many rows as records sent.

# %%
rows = lake.read(RAW_LOGS)
positions = rows.select("topic", "partition", "offset").distinct()
print(f"{rows.count()} rows at {positions.count()} positions")
assert rows.count() == positions.count() == before + 1000

# %% [markdown]
# ## The same without a stream that stays
#
# `ingest_once` reads all that Kafka holds now, and ends: what `loginlake bronze --once` does. Now there is nothing new.

# %%
ingest_once(lake)
assert lake.read(RAW_LOGS).count() == before + 1000

# %% [markdown]
# ## The end
#
# Spark and the broker stop, and the temporary folder goes.

# %%
parts.close()
