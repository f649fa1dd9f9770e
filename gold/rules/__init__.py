"""The detection rules, with the thresholds of `conf/detections.toml`.

To add a rule: write its module beside `several_countries.py`, add a field to `Rules`, and a section of the same name
with its thresholds to `conf/detections.toml`. docs/flow.md lists what else belongs to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from gold.rules.brute_force_ip import BruteForceIp
from gold.rules.brute_force_slow import BruteForceSlow
from gold.rules.credential_stuffing import CredentialStuffing
from gold.rules.distributed_brute_force_user import DistributedBruteForceUser
from gold.rules.lockout_burst import LockoutBurst, LockoutBurstIp
from gold.rules.mfa_fatigue import MfaFatigue
from gold.rules.model import Rule
from gold.rules.password_spray import PasswordSpray
from gold.rules.several_countries import SeveralCountries
from gold.rules.user_enumeration import UserEnumeration
from lakehouse.conf import conf_folder
from lakehouse.errors import UsageError
from lakehouse.settings import Settings


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All rules: one field per section of `conf/detections.toml`."""

    brute_force_ip: BruteForceIp
    brute_force_slow: BruteForceSlow
    user_enumeration: UserEnumeration
    password_spray: PasswordSpray
    credential_stuffing: CredentialStuffing
    distributed_brute_force_user: DistributedBruteForceUser
    lockout_burst: LockoutBurst
    lockout_burst_ip: LockoutBurstIp
    mfa_fatigue: MfaFatigue
    several_countries: SeveralCountries

    def __iter__(self) -> Iterator[Rule]:
        """Iterate over the rules in the order of their declaration."""
        return iter(msgspec.structs.astuple(self))


def load_rules(settings: Settings) -> Rules:
    """Return the rules with the thresholds of the configuration folder.

    Raises:
        UsageError: A threshold is missing, unknown or out of range.
    """
    return rules_in(conf_folder(settings))


def rules_in(folder: Path) -> Rules:
    """Return the rules with the thresholds of `detections.toml` in a folder.

    Raises:
        UsageError: A threshold is missing, unknown or out of range.
    """
    path = folder / "detections.toml"
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Rules)
    except (msgspec.DecodeError, ValueError) as error:
        raise UsageError(
            f"{path} is not valid: {error}",
            hint="Correct the value that it names, or copy the file from conf/ of this release",
            path=path,
        ) from error
