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
# # Detections: from an alert to the records behind it, and back in time
#
# A rule that fires writes a detection. Here we attack an account, read what was detected and whether it worked, follow
# the evidence to the records as Kafka delivered them, look at the lake as it was before the attack, and label the
# detection. Only the refresh needs Spark; everything else is read with delta-rs and polars.
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
# ## A quiet day
#
# We send 500 events, read them into bronze, and publish a snapshot.

# %%
from bronze.stream import ingest_once
from loginlake.pipeline import refresh

produce(settings, events=500)
ingest_once(lake)
before = refresh(lake)
print(f"snapshot {before.id}")

# %% [markdown]
# ## An attack
#
# Somebody guesses the password of `ada` twelve times in half a minute, and is right the thirteenth time. Each event is
# a record of JSON, as any program may send it.

# %%
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from confluent_kafka import Producer

ATTACKER = "203.0.113.9"
start = datetime.now(UTC) - timedelta(minutes=10)
producer = Producer({"bootstrap.servers": settings.kafka})
for number in range(13):
    event = {"event_id": str(uuid4()), "event_at": (start + timedelta(seconds=2 * number)).isoformat()}
    event |= {"action": "login", "outcome": "success" if number == 12 else "failure"}
    event |= {"username": "ada", "src_ip": ATTACKER, "app": "vpn"}
    producer.produce(settings.topic, key="ada", value=json.dumps(event))
assert producer.flush(30) == 0

# %%
ingest_once(lake)
after = refresh(lake)
print(f"snapshot {after.id}")

# %% [markdown]
# ## The alert, and whether it worked
#
# `attacks` has a row for each detection, with the successful logins during it and up to a day after it. On the command
# line: `loginlake query attacks`.

# %%
import polars as pl

from lakehouse.tables.gold import ATTACKS
from serving.store import Store

store = Store(settings)
alerts = store.rows(ATTACKS, store.snapshot()).filter(pl.col("entity") == ATTACKER).collect().sort("fired_at", "rule")
for alert in alerts.to_dicts():
    print(f"{alert['fired_at']:%H:%M:%S} {alert['severity']} {alert['rule']} of {alert['entity']}: {alert['measures']}")
    print(f"  worked: {alert['worked']}, {alert['successes']} login as {alert['success_users']}")

assert "brute_force_ip" in alerts["rule"]
assert alerts["worked"].all()

# %% [markdown]
# ## The events of the evidence
#
# A detection names the Kafka positions of its evidence. In silver, these are the decoded events.

# %%
from serving.queries import events_of_detection, rows_at_snapshot

(detection_id, *_) = alerts.filter(rule="brute_force_ip")["detection_id"]
query = events_of_detection(detection_id, store, snapshot=store.snapshot())
evidence = rows_at_snapshot(query, store, snapshot=store.snapshot())
print(evidence.select("event_at", "username", "src_ip", "outcome", "partition", "offset"))
assert set(evidence["outcome"]) == {"failure"}

# %% [markdown]
# ## The records as Kafka delivered them
#
# The same positions in bronze have the bytes. Nothing that was sent is lost, however it was decoded.

# %%
from lakehouse.tables.bronze import POSITION, RAW_LOGS

records = store.rows(RAW_LOGS, store.snapshot()).join(evidence.lazy().select(POSITION), on=POSITION).collect()
for record in records.sort(POSITION).head(3).to_dicts():
    print(record["topic"], record["partition"], record["offset"], record["value"].decode()[:90])
assert records.height == evidence.height

# %% [markdown]
# ## Back in time
#
# The earlier snapshot has all tables as they were: neither the detection nor the events behind it.

# %%
from lakehouse.tables.silver import EVENTS

for snapshot in (before, after):
    known = store.rows(EVENTS, snapshot).filter(pl.col("src_ip") == ATTACKER).collect()
    found = store.rows(ATTACKS, snapshot).filter(pl.col("entity") == ATTACKER).collect()
    print(f"snapshot {snapshot.id}: {known.height} events and {found.height} detections of {ATTACKER}")
assert store.rows(ATTACKS, before).filter(pl.col("entity") == ATTACKER).collect().is_empty()

# %% [markdown]
# ## Risk, and a label
#
# The risk of an address is made of its detections. We say that this was a test: the label `benign` takes it out. On the
# command line: `loginlake query entity_risk` and `loginlake label ID benign`.

# %%
from lakehouse.tables.gold import ENTITY_RISK
from serving.labels import Label, append_label

is_attacker = pl.col("entity") == ATTACKER
(risk,) = store.rows(ENTITY_RISK, store.snapshot()).filter(is_attacker).collect().to_dicts()
print(f"risk {risk['score']} ({risk['level']}): {risk['reasons']}")

for each in alerts["detection_id"]:
    label = Label(each, datetime.now(UTC), "benign", note="our own test", author="notebook")
    append_label(label, store=store, snapshot=store.snapshot())
remaining = store.rows(ENTITY_RISK, store.snapshot()).filter(is_attacker).collect()
print(f"{remaining.height} risks of {ATTACKER} after the label")
assert remaining.is_empty()

# %% [markdown]
# ## The end
#
# This stops Spark and the broker and removes the temporary folder.

# %%
parts.close()
