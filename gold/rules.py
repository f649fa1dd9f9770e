"""The rules with the thresholds of `conf/detections.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path

from gold.transforms.detections import BruteForceIp
from lakehouse.errors import UsageError

# Minutes; see `detection_id`.
SHORTEST_WINDOW = 60


def load_rule(conf: Path) -> BruteForceIp:
    """The rule with the thresholds of `detections.toml` in the folder.

    Raises:
        UsageError: Its window is shorter than the hour that a detection's id names.
    """
    rule = BruteForceIp(**tomllib.loads((conf / "detections.toml").read_text())["brute_force_ip"])
    if rule.window_minutes < SHORTEST_WINDOW:
        raise UsageError(
            f"detections.toml gives brute_force_ip a window of {rule.window_minutes:g} minutes",
            mend=f"Make it {SHORTEST_WINDOW} or more: two detections of one hour would have the same id",
        )
    return rule
