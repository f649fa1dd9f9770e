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
# # Time travel: the same table at two snapshots
#
# Each refresh ends with a snapshot: one row that names the versions of silver and gold at one instant. A query can read
# any earlier snapshot, for all tables at once. Here we publish two snapshots, find out what changed between them, and
# read both with Spark and with polars.
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
# ## Two snapshots
#
# We do this twice: send events, read them into bronze, refresh silver and gold. `refresh` returns the snapshot that it
# has published.

# %%
from bronze.stream import ingest_once
from loginlake.pipeline import refresh

produce(settings, events=1000)
ingest_once(lake)
first = refresh(lake)

produce(settings, events=300)
ingest_once(lake)
second = refresh(lake)

# %% [markdown]
# A snapshot is small: an instant and one version per table.

# %%
for snapshot in (first, second):
    print(
        f"snapshot {snapshot.id}, {snapshot.at:%H:%M:%S}: gold.ip_activity at {snapshot.versions['gold.ip_activity']}"
    )
assert second.id == first.id + 1
assert second.at > first.at

# %% [markdown]
# ## The same table, twice
#
# These are attempts per address and day, at each of the two snapshots.

# %%
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from lakehouse.tables.metrics import IP_ACTIVITY

table = IP_ACTIVITY.table
earlier = lake.read(table, version=first.versions[table.full_name])
later = lake.read(table, version=second.versions[table.full_name])


def attempts(rows: DataFrame) -> int:
    """Return the sum of attempts over the rows."""
    return rows.agg(F.sum("attempts")).first()[0]


print(f"snapshot {first.id}: {earlier.count()} rows, {attempts(earlier)} attempts")
print(f"snapshot {second.id}: {later.count()} rows, {attempts(later)} attempts")
assert attempts(earlier) < attempts(later)

# %% [markdown]
# ## What changed?
#
# A key identifies a row, here window and address. An anti join finds the rows that were added: only the later table has
# their key. `<=>` treats null, an unknown address, as a key like any other.

# %%
old, new = earlier.alias("old"), later.alias("new")
is_same_key = F.expr("old.window_at <=> new.window_at and old.src_ip <=> new.src_ip")

added = new.join(old, is_same_key, "left_anti")
removed = old.join(new, is_same_key, "left_anti")
print(f"{added.count()} rows were added, {removed.count()} removed")
added.select("window_on", "src_ip", "attempts", "failures").orderBy(F.desc("attempts"), "src_ip").show(5)
assert removed.isEmpty()

# %% [markdown]
# The values of keys that both tables have may have changed.

# %%
changed = (
    new.join(old, is_same_key)
    .where("old.attempts <> new.attempts")
    .selectExpr("new.window_on", "new.src_ip", "old.attempts as was", "new.attempts as is_now")
)
print(f"{changed.count()} rows were changed")
changed.orderBy(F.desc(F.col("is_now") - F.col("was")), "src_ip").show(5)
assert not changed.isEmpty()

# %% [markdown]
# Added and changed rows together are the whole difference.

# %%
grown = changed.agg(F.sum(F.col("is_now") - F.col("was"))).first()[0]
print(f"{attempts(later)} = {attempts(earlier)} + {attempts(added)} added + {grown} grown")
assert attempts(later) == attempts(earlier) + attempts(added) + grown

# %% [markdown]
# ## Spark and polars, side by side
#
# The API does not use Spark. It reads the same files with `Store`, which returns polars frames. At each snapshot both
# engines return equal rows.

# %%
import polars as pl
from polars.testing import assert_frame_equal

from serving.store import Store

store = Store(settings)

for snapshot, by_spark in ((first, earlier), (second, later)):
    by_polars = store.rows(table, snapshot).collect()
    assert_frame_equal(by_polars, pl.from_arrow(by_spark.toArrow()), check_row_order=False)
    print(f"snapshot {snapshot.id}: {by_polars.height} equal rows, {by_polars['attempts'].sum()} attempts")

# %% [markdown]
# ## As of an instant
#
# A query can name an instant instead of a snapshot's id. It then reads the last snapshot published at or before it.

# %%
from datetime import timedelta

just_before = second.at - timedelta(microseconds=1)
print(f"at {just_before:%H:%M:%S.%f}: snapshot {store.snapshot(as_of=just_before).id}")
print(f"at {second.at:%H:%M:%S.%f}: snapshot {store.snapshot(as_of=second.at).id}")
assert store.snapshot(as_of=just_before) == first
assert store.snapshot(as_of=second.at) == second

# %% [markdown]
# Before the first snapshot there is nothing to read, and the error explains it.

# %%
from lakehouse.errors import SnapshotMissing

oldest = store.snapshots()[0]
try:
    store.snapshot(as_of=oldest.at - timedelta(seconds=1))
except SnapshotMissing as missing:
    print(missing)
else:
    raise AssertionError("there is a snapshot before the first one")

# %% [markdown]
# ## SQL at a snapshot
#
# A SQL query can read every table of one snapshot by its name; no two of them are from different refreshes. The view
# `logins` has the attempts that silver accepted, so it agrees with the counts in gold.

# %%
from serving.sql import sql_answer

GOLD_ATTEMPTS = "select sum(attempts) as attempts, sum(failures) as failures from ip_activity"
SILVER_ATTEMPTS = "select sum(times) as attempts from logins"

for snapshot, by_spark in ((first, earlier), (second, later)):
    print(f"snapshot {snapshot.id}")
    print(sql_answer(GOLD_ATTEMPTS, store, snapshot=snapshot))
    assert sql_answer(GOLD_ATTEMPTS, store, snapshot=snapshot)["attempts"].item() == attempts(by_spark)
    assert sql_answer(SILVER_ATTEMPTS, store, snapshot=snapshot)["attempts"].item() == attempts(by_spark)

# %% [markdown]
# The same on the command line: `loginlake sql 'select …' --snapshot 1`, or `loginlake query ip_activity --every day
# --as-of 2026-03-01T12:00:00Z`; and over REST with `?snapshot=1` or `?as_of=…`.
#
# ## The end
#
# This stops Spark and the broker and removes the temporary folder.

# %%
parts.close()
