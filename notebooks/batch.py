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
# # Batch: from bronze to silver to gold, step by step
#
# `loginlake refresh` runs these steps in one command; here we run them one by one. We decode raw records into silver,
# aggregate them into gold, compare the stored tables with our own results, and write attempts per address as a CSV
# file.
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
# ## Bronze: raw records
#
# We send 2,000 records, a tenth of them noise, and read them into bronze. The notebook `streaming` shows how this
# works.

# %%
from bronze.stream import ingest_once
from lakehouse.tables.bronze import RAW_LOGS

produce(settings, events=2000)
ingest_once(lake)

raw = lake.read(RAW_LOGS)
raw.selectExpr("partition", "offset", "left(cast(value as string), 80) as value").show(3, truncate=False)
assert raw.count() >= 2000

# %% [markdown]
# ## Silver: one row for every record, with a verdict
#
# `update_silver` decodes the bronze rows that silver has not read and appends them in one commit. It returns the number
# of rows appended. A second call finds nothing new.

# %%
from lakehouse.tables.silver import EVENTS
from silver.job import update_silver

appended = update_silver(lake)
again = update_silver(lake)
print(f"{appended} rows appended, then {again}")

events = lake.read(EVENTS)
assert again == 0
assert events.count() == raw.count()

# %% [markdown]
# No record is dropped. Each has one of four verdicts: it is an event (`accepted`), a copy of an event (`duplicate`),
# well-formed but not a login event (`ignored`), or it can't be decoded (`broken`). Ignored and broken rows have a
# reason.

# %%
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

verdicts = events.groupBy("verdict", "reason").count().orderBy("verdict", "reason")
verdicts.show(truncate=False)

assert {row.verdict for row in verdicts.collect()} == {"accepted", "duplicate", "ignored", "broken"}

# %% [markdown]
# A duplicate has the position of the copy that was accepted, and a broken row has a description of what is wrong. The
# bytes stay in bronze, so that a better decoder can decode them later.

# %%
duplicates = events.where("verdict = 'duplicate'")
duplicates.select("event_id", "partition", "offset", "winner_partition", "winner_offset").show(3, truncate=False)

broken = events.where("verdict = 'broken'")
broken.select("partition", "offset", "reason", "detail").show(5, truncate=False)

assert duplicates.where("winner_offset is null").isEmpty()
assert broken.where("reason is null").isEmpty()

# %% [markdown]
# The accepted rows are the events. An id is accepted once, however often it was sent.

# %%
accepted = events.where("verdict = 'accepted'")
accepted.groupBy("action", "outcome").agg(F.sum("times").alias("occurrences")).orderBy("action", "outcome").show()

assert accepted.select("event_on", "event_id").distinct().count() == accepted.count()

# %% [markdown]
# ## The base: one row per app, user, address and hour
#
# `pair_activity_hourly` is a plain function from frame to frame. It depends neither on tables nor on Spark: the API
# runs the same function on polars.

# %%
from gold.transforms.base import pair_activity_hourly
from gold.transforms.metrics import metric_rows

base = pair_activity_hourly(events)
base.select("window_at", "app", "username", "src_ip", "attempts", "failures").orderBy(F.desc("failures")).show(
    5, truncate=False
)

# %% [markdown]
# The base has as many attempts as silver: aggregation loses none.

# %%
attempts = accepted.where("action = 'login'").agg(F.sum("times")).first()[0]
counted = base.agg(F.sum("attempts")).first()[0]
print(f"{attempts} attempts in silver, {counted} in the base")
assert counted == attempts

# %% [markdown]
# ## A metric: attempts per address and day
#
# A metric is declared once, with its dimensions and measures, and is computed from the base.

# %%
from lakehouse.tables.metrics import IP_ACTIVITY

print(IP_ACTIVITY.meaning)
print([column.name for column in IP_ACTIVITY.columns])

computed = metric_rows(IP_ACTIVITY, base, every="day")
computed.select("window_on", "src_ip", "attempts", "failures", "users").orderBy(F.desc("attempts"), "src_ip").show(5)

# %% [markdown]
# ## Publish
#
# `refresh_gold` computes the same rows, writes them to the gold tables, and ends with a snapshot, which names one
# version of each table. Readers see only versions that a snapshot names. A second call finds no changes and publishes
# no snapshot.

# %%
from gold.job import refresh_gold

snapshot = refresh_gold(lake)
print(f"snapshot {snapshot.id} of {snapshot.at:%Y-%m-%d %H:%M:%S}")
for table, version in snapshot.versions.items():
    print(f"  {table} at version {version}")
assert refresh_gold(lake) is None

# %% [markdown]
# The rows that we computed and the stored rows are the same: neither set has a row that the other lacks.

# %%
table = IP_ACTIVITY.table
stored = lake.read(table, version=snapshot.versions[table.full_name])

print(f"{computed.count()} rows computed, {stored.count()} stored")
assert computed.exceptAll(stored).isEmpty()
assert stored.exceptAll(computed).isEmpty()

# %% [markdown]
# ## The report: attempts per address, as CSV
#
# Spark writes a folder with one file per task; `coalesce(1)` makes it a single file.

# %%
folder = settings.state.resolve() / "attempts_per_ip"
per_ip = stored.groupBy("src_ip").agg(F.sum("attempts").alias("attempts"), F.sum("failures").alias("failures"))
ordered = per_ip.orderBy(F.desc("attempts"), "src_ip")
ordered.coalesce(1).write.mode("overwrite").option("header", True).csv(str(folder))

(report,) = folder.glob("*.csv")
lines = report.read_text().splitlines()
print("\n".join(lines[:6]))

# %% [markdown]
# The file has a header, one line per address, and all attempts of silver.

# %%
import csv

header, *rows = csv.reader(lines)
total = sum(int(attempts) for _, attempts, _ in rows)
print(f"{total} attempts of {len(rows)} addresses")
assert header == ["src_ip", "attempts", "failures"]
assert len(rows) == stored.select("src_ip").distinct().count()
assert total == attempts

# %% [markdown]
# On the command line, one command prints attempts per address and day: `loginlake query ip_activity --every day
# --format csv`.
#
# ## The end
#
# This stops Spark and the broker and removes the temporary folder.

# %%
parts.close()
