"""What a newcomer waits for: the demo in a fresh clone with empty caches, the demo again, and the tests.

    python benchmarks/clone.py

It clones what is committed into a folder of its own and runs the README's commands there, with a home of its own, so
that packages and jars come from the network. Beside that it adds up the proportional set sizes (Linux: PSS of
smaps_rollup) of make and all that it started: JVMs, Python workers, the API and the broker.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from stand import print_table, seconds_of

REPOSITORY = Path(__file__).parents[1]
# The base of the environment that this runs in: where `python3` is a shim, it may look for its own in the home.
PYTHON = Path(sys.executable).resolve()
# Variables that name caches or lakes outside the home; what the tests read of them stays.
ELSEWHERE = ("XDG_", "PIP_CACHE", "UV_CACHE", "M2_REPO", "LOGINLAKE_")
SSHD_LOG = "LOGINLAKE_SSHD_LOG"
SAMPLE_SECONDS = 0.5
KIB_PER_GIB = 1 << 20


def main() -> None:
    """Prints the table."""
    with TemporaryDirectory(prefix="loginlake-bench-") as folder:
        clone, home = Path(folder) / "loginlake", Path(folder) / "home"
        home.mkdir()
        subprocess.run(["git", "clone", "--quiet", REPOSITORY, clone], check=True)
        cold, first = _demo(clone, home)
        again, second = _demo(clone, home)
        fresh, third = _demo(clone, home, "FRESH=1")
        tests = seconds_of(lambda: _end(_make(clone, home, "test")))
        few = seconds_of(lambda: _end(_make(clone, home, "test", PYTEST_ADDOPTS="-m 'not guarantees'")))
    print_table(
        ("in a fresh clone", "measured", "goal"),
        [
            ("make demo ONCE=1 with empty caches, seconds", cold, "≤ 300"),
            ("again, seconds", again, "≤ 120"),
            ("and again on a new lake, seconds", fresh, "≤ 120"),
            ("the memory of all its processes at most, GiB", max(first, second, third) / KIB_PER_GIB, "≤ 6"),
            ("make test, seconds", tests, "≤ 1500"),
            ("of it without kills, damage, late data and upkeep", few, "≤ 900"),
        ],
    )


def _demo(clone: Path, home: Path, *variables: str) -> tuple[float, int]:
    """Seconds of the demo, and the KiB that all its processes held together at most."""
    began, largest = time.perf_counter(), 0
    demo = _make(clone, home, "demo", "ONCE=1", *variables)
    while demo.poll() is None:
        largest = max(largest, sum(_kib(pid) for pid in family(demo.pid)))
        time.sleep(SAMPLE_SECONDS)
    _end(demo)
    return time.perf_counter() - began, largest


def _make(clone: Path, home: Path, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ELSEWHERE) or name == SSHD_LOG}
    return subprocess.Popen(
        ["make", f"PYTHON={PYTHON}", *arguments], cwd=clone, env=kept | {"HOME": str(home)} | environment
    )


def _end(make: subprocess.Popen[bytes]) -> None:
    if make.wait():
        raise SystemExit(f"{make.args!r} ended with exit code {make.returncode}")


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
