"""Bronze and refresh together, as `up` and `demo` run them."""

from __future__ import annotations

import threading

from lakehouse import kafka
from lakehouse.lake import Lake
from lakehouse.snapshots import Snapshot
from loginlake.pipeline import run_until
from notebooks.sandbox import produce


def test_the_first_snapshot_covers_records_that_were_sent_before_the_start(fed_lake: Lake) -> None:
    kafka.ensure_topic(fed_lake.settings)
    produced = produce(fed_lake.settings, events=50)
    stop = threading.Event()
    snapshots: list[Snapshot] = []

    def published(snapshot: Snapshot) -> None:
        snapshots.append(snapshot)
        stop.set()

    run_until(stop, fed_lake, on_publish=published)

    assert [sum(snapshot.offsets.values()) for snapshot in snapshots] == [produced]
