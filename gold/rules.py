"""The rules with the thresholds of `conf/detections.toml`."""

from __future__ import annotations

import msgspec

from gold.transforms.detections import BruteForceIp
from lakehouse.conf import conf_folder
from lakehouse.errors import UsageError
from lakehouse.settings import Settings


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sections of the file."""

    brute_force_ip: BruteForceIp


def load_rules(settings: Settings) -> Rules:
    """The rules with the thresholds that the settings name.

    Raises:
        UsageError: A threshold is missing, unknown or not allowed.
    """
    path = conf_folder(settings) / "detections.toml"
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Rules)
    except (msgspec.DecodeError, ValueError) as error:
        raise UsageError(f"{path} can't be used: {error}", hint="Correct it") from error
