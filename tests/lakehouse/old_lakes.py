"""Lakes that earlier commits have written, unpacked for tests; see lakes/README.md."""

from __future__ import annotations

import tarfile
from pathlib import Path

LAKES = Path(__file__).parent / "lakes"
# Of commit 737d31b: two snapshots, all verdicts, detections, and restatements of one late event.
LAKE_737D31B = "lake_737d31b"


def unpack_lake(name: str, to: Path) -> Path:
    """Return the root of a lake that is unpacked in the folder `to`."""
    with tarfile.open(LAKES / f"{name}.tar.xz") as archive:
        archive.extractall(to, filter="data")
    return to / name
