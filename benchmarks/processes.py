"""The processes of this machine, as Linux lists them in /proc."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

PROC = Path("/proc")
# Raised for a process that has ended since it was listed.
ENDED = (FileNotFoundError, ProcessLookupError)


def family(ancestor: int) -> list[int]:
    """Return the process and all its descendants."""
    children = defaultdict(list)
    for folder in PROC.glob("[0-9]*"):
        try:
            parent = stat_fields(int(folder.name))[1]
        except ENDED:
            continue
        children[int(parent)].append(int(folder.name))
    found = [ancestor]
    for pid in found:
        found.extend(children[pid])
    return found


def stat_fields(pid: int) -> list[str]:
    """Return the fields of a process after its name: its state, its parent, and so on; see proc(5).

    Raises:
        FileNotFoundError, ProcessLookupError: The process has ended.
    """
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
