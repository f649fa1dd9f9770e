"""The detection rules, with the thresholds of `conf/detections.toml`.

To add a rule: write its module beside `brute_force_ip.py`, add a field to `Rules`, and a section of the same name with
its thresholds to `conf/detections.toml`.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gold.rules.brute_force_ip import BruteForceIp
from gold.rules.brute_force_slow import BruteForceSlow
from gold.rules.model import Rule
from lakehouse.conf import conf_folder
from lakehouse.errors import UsageError
from lakehouse.settings import Settings


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All rules: one field per section of `conf/detections.toml`."""

    brute_force_ip: BruteForceIp
    brute_force_slow: BruteForceSlow

    def __iter__(self) -> Iterator[Rule]:
        """Iterate over the rules in the order of their declaration."""
        return iter(msgspec.structs.astuple(self))


def load_rules(settings: Settings) -> Rules:
    """Return the rules with the thresholds of the configuration folder.

    Raises:
        UsageError: A threshold is missing, unknown or out of range.
    """
    path = conf_folder(settings) / "detections.toml"
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Rules)
    except (msgspec.DecodeError, ValueError) as error:
        raise UsageError(
            f"{path} is not valid: {error}",
            hint="Correct the value that it names, or copy the file from conf/ of this release",
            path=path,
        ) from error
