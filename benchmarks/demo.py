"""How long the demo takes and how much memory all its processes hold together, at most.

    python benchmarks/demo.py

It runs `loginlake demo --once` in a folder of its own and adds up the proportional set sizes (Linux: PSS of
smaps_rollup) of the command and all that it started: JVMs, Python workers, the API and the broker.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from stand import print_table

SAMPLE_SECONDS = 0.5
KIB_PER_GIB = 1 << 20


def main() -> None:
    """Prints the table."""
    with TemporaryDirectory(prefix="loginlake-bench-") as folder:
        began, largest = time.perf_counter(), 0
        demo = subprocess.Popen([sys.executable, "-m", "loginlake", "demo", "--once"], cwd=folder)
        while demo.poll() is None:
            largest = max(largest, sum(_kib(pid) for pid in family(demo.pid)))
            time.sleep(SAMPLE_SECONDS)
        seconds = time.perf_counter() - began
    if demo.returncode:
        raise SystemExit(f"the demo ended with exit code {demo.returncode}")
    print_table(
        ("demo --once", "measured", "goal"),
        [("seconds", seconds, "≤ 120"), ("GiB at most", largest / KIB_PER_GIB, "≤ 6")],
    )


def family(ancestor: int) -> list[int]:
    """The process and all that descend from it."""
    children = defaultdict(list)
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it ended between the listing and the reading
            continue
        children[int(words[1])].append(int(status.parent.name))
    found = [ancestor]
    for pid in found:
        found.extend(children[pid])
    return found


def _kib(pid: int) -> int:
    """Memory of a process; pages shared by several count for each in part."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    main()
