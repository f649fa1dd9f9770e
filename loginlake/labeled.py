"""Labels as truth: the verdicts of people on detections."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lakehouse.tables.gold import DETECTIONS
from loginlake.matching import Detection
from producer.ground_truth import PlantedCase
from producer.planted import ExpectedDetection

if TYPE_CHECKING:
    from lakehouse.snapshots import Snapshot
    from serving.selection import Period
    from serving.store import Store


class Labeled(NamedTuple):
    """A detection, and its last label: true, false or benign."""

    detection: Detection
    label: str

    @property
    def case(self) -> PlantedCase:
        """The detection as an attack that its rule must find."""
        row = self.detection
        return PlantedCase(
            kind="attack",
            scenario="labeled true",
            expected=(ExpectedDetection(row["rule"], row["entity_type"], row["entity"]),),
            sources=(),
            users=(),
            apps=(),
            first_at=row["first_at"],
            last_at=row["last_at"],
            is_complete=True,
            event_ids=(row["detection_id"],),
        )


def labeled_detections(store: Store, snapshot: Snapshot, *, period: Period | None = None) -> list[Labeled]:
    """Return the detections of a snapshot that have a label, also retracted ones.

    Args:
        store: The lake.
        snapshot: The snapshot; the labels are the newest, whatever the snapshot.
        period: If given, only detections that fired in it.
    """
    from serving.views import last_labels

    rows = store.rows(DETECTIONS, snapshot)
    if period is not None:
        rows = rows.filter(*period.instants("fired_at"))
    labels = last_labels(lambda table: store.rows(table, snapshot))
    found = rows.join(labels.lazy(), on="detection_id").sort("fired_at", "detection_id").collect()
    return [Labeled(row, row["label"]) for row in found.to_dicts()]
