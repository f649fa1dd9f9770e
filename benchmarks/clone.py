"""How long a newcomer waits: the demo in a fresh clone with empty caches, the demo again, and the tests.

    python benchmarks/clone.py

The benchmark clones the last commit into a temporary folder and runs the README's commands there with an empty home
folder, so that packages and jars are downloaded. It also measures memory: the sum of the proportional set sizes (PSS in
smaps_rollup, Linux) of make and all its descendants: JVMs, Python workers, the API and the broker.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import print_table, seconds_of
from processes import ENDED, PROC, family

REPOSITORY = Path(__file__).parents[1]
# The interpreter below this environment: a `python3` that is a shim may look for itself in the home folder.
PYTHON = Path(sys.executable).resolve()
# Variables that name caches or lakes outside the home folder; the tests' own variable is kept.
ELSEWHERE = ("XDG_", "PIP_CACHE", "UV_CACHE", "M2_REPO", "LOGINLAKE_")
SSHD_LOG = "LOGINLAKE_SSHD_LOG"
SAMPLE_SECONDS = 0.5
KIB_PER_GIB = 1 << 20


def main() -> None:
    """Print the table."""
    with TemporaryDirectory(prefix="loginlake-bench-") as folder:
        clone, home = Path(folder) / "loginlake", Path(folder) / "home"
        home.mkdir()
        subprocess.run(["git", "clone", "--quiet", REPOSITORY, clone], check=True)
        cold, first = _demo(clone, home)
        again, second = _demo(clone, home)
        fresh, third = _demo(clone, home, "FRESH=1")
        tests = seconds_of(lambda: _end(_make(clone, home, "test")))
        slow_tests = seconds_of(lambda: _end(_make(clone, home, "test-slow")))
    print_table(
        ("in a fresh clone", "measured", "goal"),
        [
            ("make demo ONCE=1 with empty caches, seconds", cold, "≤ 300"),
            ("the same again, seconds", again, "≤ 120"),
            ("the same on a new lake, seconds", fresh, "≤ 120"),
            ("peak memory of all processes, GiB", max(first, second, third) / KIB_PER_GIB, "≤ 6"),
            ("make test, seconds", tests, "≤ 360"),
            ("make test-slow, seconds", slow_tests, "≤ 720"),
        ],
    )


def _demo(clone: Path, home: Path, *variables: str) -> tuple[float, int]:
    """Return the seconds of the demo and the peak memory of all its processes, in KiB."""
    started, largest = time.perf_counter(), 0
    demo = _make(clone, home, "demo", "ONCE=1", *variables)
    while demo.poll() is None:
        largest = max(largest, sum(_kib(pid) for pid in family(demo.pid)))
        time.sleep(SAMPLE_SECONDS)
    _end(demo)
    return time.perf_counter() - started, largest


def _make(clone: Path, home: Path, *arguments: str) -> subprocess.Popen[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ELSEWHERE) or name == SSHD_LOG}
    return subprocess.Popen(["make", f"PYTHON={PYTHON}", *arguments], cwd=clone, env=kept | {"HOME": str(home)})


def _end(make: subprocess.Popen[bytes]) -> None:
    if make.wait():
        raise SystemExit(f"{make.args!r} ended with exit code {make.returncode}")


def _kib(pid: int) -> int:
    """Return the proportional set size of a process, in KiB: a shared page counts in equal parts."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except ENDED:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    main()
