"""Readers during writes: whatever happens to the tables, each answer is of one snapshot and complete."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from itertools import cycle

import httpx
import pytest
from deltalake import DeltaTable

from lakehouse.settings import Settings
from lakehouse.tables import SNAPSHOT_TABLES
from lakehouse.tables.model import Table
from tests.serving.conftest import served_here
from tests.serving.lakes import FIRST_PUBLISHED, SmallLake, a_detection, a_login

pytestmark = pytest.mark.slow

READERS = 4
PUBLICATIONS = 8
EVENTS_EACH = 10
# Queries whose attempts sum up to the number of events, and those with this many rows per snapshot.
METRICS = [
    f"/v1/metrics/{name}?every={every}&limit=10000"
    for name in ("ip_activity", "app_activity")
    for every in ("day", "hour")
]
ROWS = {"/v1/tables/silver.events/rows?limit=10000": EVENTS_EACH, "/v1/detections?limit=10000": 1}


def publish(lake: SmallLake, number: int) -> None:
    """Publish the next snapshot: ten more events from ten more addresses, and one more detection."""
    events = [a_login(offset, src_ip=f"192.0.2.{offset}") for offset in range(number * 10 - 10, number * 10)]
    detections = [a_detection(f"d{found}") for found in range(number)]
    lake.publish(events, detections, FIRST_PUBLISHED + timedelta(hours=number))


def merge_and_maintain(settings: Settings, table: Table) -> None:
    """Make versions that no snapshot names: every row is rewritten, files are compacted, unneeded ones deleted."""
    live = DeltaTable(settings.table_uri(table.layer, table.name))
    same_key = " AND ".join(f"live.{name} = new.{name}" for name in table.key)
    merge = live.merge(live.to_pyarrow_table(), same_key, source_alias="new", target_alias="live")
    merge.when_matched_update_all().when_not_matched_insert_all().execute()
    live.optimize.compact()
    live.vacuum(retention_hours=24 * 37, dry_run=False)


@contextmanager
def checked_readers(client: httpx.Client) -> Iterator[list[int]]:
    """Run readers that check every answer during the block; the list receives the snapshot of each answer."""
    stop = threading.Event()
    answers: list[int] = []

    def read() -> None:
        seen = 0
        for url in cycle([*METRICS, *ROWS]):
            answer = client.get(url)
            assert answer.status_code == 200, answer.text
            snapshot = int(answer.headers["Loginlake-Snapshot"])
            assert snapshot >= seen, f"snapshot {snapshot} was served after snapshot {seen}"
            seen = snapshot
            rows = answer.json()["data"]
            if url in METRICS:
                assert sum(row["attempts"] for row in rows) == snapshot * EVENTS_EACH, url
            else:
                assert len(rows) == snapshot * ROWS[url], url
            answers.append(snapshot)
            if stop.is_set():
                return

    with ThreadPoolExecutor(READERS) as threads:
        readers = [threads.submit(read) for _ in range(READERS)]
        try:
            yield answers
        finally:
            stop.set()
    for reader in readers:
        reader.result()


def test_every_answer_is_of_one_snapshot_while_tables_are_overwritten_merged_compacted_and_vacuumed(
    settings: Settings, lake: SmallLake
) -> None:
    publish(lake, 1)
    with served_here(settings, lifespan="on") as client, checked_readers(client) as answers:
        for number in range(2, PUBLICATIONS + 1):
            for table in SNAPSHOT_TABLES:
                merge_and_maintain(settings, table)
            publish(lake, number)
            assert client.get("/readyz").json()["status"] == "ready"

    assert len(answers) > READERS * len({*METRICS, *ROWS})
    assert len(set(answers)) > PUBLICATIONS // 2
