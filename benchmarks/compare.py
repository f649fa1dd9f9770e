"""A benchmark of this checkout compared with the same benchmark of another one, run in turn on the same machine.

    python benchmarks/compare.py --before ../old-clone lake.py --events 300000 --rounds 1

Each checkout runs the benchmark with its own environment (`.venv`). The figures of the columns named `seconds` count;
the fastest run of each row is compared. A ratio above 1 means that this checkout is slower.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from collections import defaultdict
from pathlib import Path

from harness import print_table

AFTER = Path(__file__).parents[1]
GOAL = 1.05

# Title of the table and label of the row, to the seconds of each run.
Figures = dict[tuple[str, str], list[float]]


def main() -> None:
    """Print the fastest run of each row before and after, and their ratio."""
    arguments, passed_on = _arguments()
    before: Figures = defaultdict(list)
    after: Figures = defaultdict(list)
    for _ in range(arguments.repeat):
        for figures, checkout, script in (
            (before, arguments.before, arguments.before_script or arguments.script),
            (after, AFTER, arguments.script),
        ):
            for row, seconds in figures_in(_run(checkout, script, arguments=passed_on)).items():
                figures[row].append(seconds)
    rows = [
        (f"{title}: {label}", min(before[title, label]), min(seconds), min(seconds) / min(before[title, label]))
        for (title, label), seconds in after.items()
        if (title, label) in before
    ]
    print_table(
        ("benchmark", "before, seconds", "after, seconds", "ratio", "goal"), [(*row, f"≤ {GOAL}") for row in rows]
    )


def figures_in(output: str) -> dict[tuple[str, str], float]:
    """Return the seconds of each row of the tables that a benchmark printed."""
    found: dict[tuple[str, str], float] = {}
    for table in output.split("\n\n"):
        lines = [re.split(r"\s{2,}", line.strip()) for line in table.strip().splitlines()]
        header = next((cells for cells in lines if "seconds" in cells), None)
        if header is None:
            continue
        for cells in lines[lines.index(header) + 1 :]:
            found[header[0], cells[0]] = float(cells[header.index("seconds")].replace(",", ""))
    return found


def _run(checkout: Path, script: str, *, arguments: list[str]) -> str:
    python = checkout.absolute() / ".venv" / "bin" / "python"
    command = [str(python), f"benchmarks/{script}", *arguments]
    return subprocess.run(command, cwd=checkout, check=True, capture_output=True, text=True).stdout


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("script", help="a benchmark of this folder, such as lake.py; its arguments follow")
    parser.add_argument("--before", type=Path, required=True, help="the checkout to compare with")
    parser.add_argument("--before-script", help="the benchmark's name in that checkout, where it differs")
    parser.add_argument("--repeat", type=int, default=2, help="runs of each checkout, in turn")
    return parser.parse_known_args()


if __name__ == "__main__":
    main()
