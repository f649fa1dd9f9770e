"""Append to gold.labels: the verdicts of people on detections.

It is the one table that delta-rs writes, and Spark never does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa
from deltalake import CommitProperties, write_deltalake
from deltalake.exceptions import CommitFailedError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from lakehouse.s3 import storage_options
from lakehouse.snapshots import Snapshot
from lakehouse.tables.gold import LABELS, LabelValue
from serving.queries import detection_with_id

if TYPE_CHECKING:
    from serving.store import Store

# Two writers append at once without conflict, except when both create the table: then one of them must begin again.
COMMIT_RETRIES = 10


@dataclass(frozen=True)
class Label:
    """A row of gold.labels."""

    detection_id: str
    labeled_at: datetime
    label: LabelValue
    note: str
    author: str


def append_label(label: Label, *, store: Store, snapshot: Snapshot) -> None:
    """Append a label; the first one creates the table.

    Raises:
        TableMissing: The snapshot has no detection with that id.
    """
    detection_with_id(label.detection_id, store, snapshot=snapshot)
    row = pa.Table.from_pylist([vars(label)], schema=LABELS.arrow_schema())
    for attempt in Retrying(
        retry=retry_if_exception_type(CommitFailedError),
        stop=stop_after_attempt(COMMIT_RETRIES),
        wait=wait_random(0, 0.1),
        reraise=True,
    ):
        with attempt:
            write_deltalake(
                store.settings.table_uri(LABELS.layer, LABELS.name),
                row,
                mode="append",
                description=LABELS.grain,
                storage_options=storage_options(store.settings),
                commit_properties=CommitProperties(max_commit_retries=COMMIT_RETRIES),
            )
