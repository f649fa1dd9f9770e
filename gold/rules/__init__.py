"""The detection rules, with the thresholds of `conf/detections.toml`.

docs/howto.md explains step by step how to add a rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from gold.rules.addresses import AddressSet, read_addresses
from gold.rules.brute_force_ip import BruteForceIp
from gold.rules.brute_force_slow import BruteForceSlow
from gold.rules.concurrent_sessions import ConcurrentSessions
from gold.rules.credential_stuffing import CredentialStuffing
from gold.rules.distributed_brute_force_user import DistributedBruteForceUser
from gold.rules.dormant_user import DormantUser
from gold.rules.failure_spike import FailureSpike
from gold.rules.impossible_travel import ImpossibleTravel
from gold.rules.listed_ip import ListedIp
from gold.rules.lockout_burst import LockoutBurst, LockoutBurstIp
from gold.rules.mfa_fatigue import MfaFatigue
from gold.rules.model import AnyRule
from gold.rules.new_values import NewAgent, NewCountry, NewIp
from gold.rules.password_spray import PasswordSpray
from gold.rules.password_spray_distributed import PasswordSprayDistributed
from gold.rules.refusals import refusal
from gold.rules.session_replay import SessionReplay
from gold.rules.several_countries import SeveralCountries
from gold.rules.success_after_attack import SuccessAfterAttack, SuccessAfterAttackIp
from gold.rules.unusual_hour import UnusualHour
from gold.rules.user_enumeration import UserEnumeration
from lakehouse.conf import conf_folder, shipped_folder
from lakehouse.errors import UsageError, name_hint
from lakehouse.settings import Settings

FILE = "detections.toml"
FILE_HINT = "Correct it; what the file leaves out has the value in conf/ of this release"


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All rules: one field per section of `conf/detections.toml`."""

    brute_force_ip: BruteForceIp
    brute_force_slow: BruteForceSlow
    user_enumeration: UserEnumeration
    password_spray: PasswordSpray
    password_spray_distributed: PasswordSprayDistributed
    credential_stuffing: CredentialStuffing
    distributed_brute_force_user: DistributedBruteForceUser
    lockout_burst: LockoutBurst
    lockout_burst_ip: LockoutBurstIp
    mfa_fatigue: MfaFatigue
    success_after_attack: SuccessAfterAttack
    success_after_attack_ip: SuccessAfterAttackIp
    impossible_travel: ImpossibleTravel
    several_countries: SeveralCountries
    session_replay: SessionReplay
    concurrent_sessions: ConcurrentSessions
    listed_ip: ListedIp
    new_country: NewCountry
    new_ip: NewIp
    new_agent: NewAgent
    unusual_hour: UnusualHour
    dormant_user: DormantUser
    failure_spike: FailureSpike

    def __iter__(self) -> Iterator[AnyRule]:
        """Iterate over the rules in the order of their declaration."""
        return iter(msgspec.structs.astuple(self))


def load_rules(settings: Settings) -> Rules:
    """Return the rules with the thresholds of the configuration folder.

    Raises:
        UsageError: A section or a threshold is unknown, or a threshold is out of range.
    """
    return rules_in(conf_folder(settings))


def rules_in(folder: Path) -> Rules:
    """Return the rules with the thresholds of `detections.toml` in a folder.

    A section or a threshold that the file leaves out has the value of the shipped file.

    Raises:
        UsageError: A section or a threshold is unknown, or a threshold is out of range.
    """
    path = folder / FILE
    try:
        sections, shipped = (msgspec.toml.decode((each / FILE).read_bytes()) for each in (folder, shipped_folder()))
        _check_names(sections, path=path)
        complete = shipped | {name: _complete(section, shipped.get(name)) for name, section in sections.items()}
        return msgspec.convert(complete, Rules, dec_hook=partial(_decode, folder=folder))
    except (msgspec.DecodeError, ValueError) as error:
        raise UsageError(f"{path} is not valid: {refusal(error)}", hint=FILE_HINT, path=path) from error


def with_thresholds(rule: AnyRule, changes: Mapping[str, Any], *, folder: Path) -> AnyRule:
    """Return the rule with other values of some thresholds.

    Args:
        rule: The rule.
        changes: Values by the names of the thresholds, as TOML has them.
        folder: Folder of the files that a value names.

    Raises:
        ValueError: A value has another type or is out of range.
    """
    values = {**msgspec.structs.asdict(rule), **changes}
    return msgspec.convert(values, type(rule), dec_hook=partial(_decode, folder=folder))


def _check_names(sections: Mapping[str, Any], *, path: Path) -> None:
    """Raise if a section is not a rule, or has a name that is not a threshold of the rule.

    Raises:
        UsageError: A name is not known.
    """
    rules = {each.name: each.type for each in msgspec.structs.fields(Rules)}
    for rule, section in sections.items():
        if rule not in rules:
            raise UsageError(f"{path} is not valid: there is no rule {rule!a}", hint=name_hint(rule, rules), path=path)
        thresholds = rules[rule].__struct_fields__
        for name in section if isinstance(section, Mapping) else ():
            if name not in thresholds:
                what = f"{path} is not valid: {rule} has no threshold {name!a}"
                raise UsageError(what, hint=name_hint(name, thresholds), path=path)


def _complete(section: Any, shipped: Mapping[str, Any] | None) -> Any:
    """Return a section with the shipped values of the thresholds that it lacks."""
    return {**(shipped or {}), **section} if isinstance(section, Mapping) else section


def _decode(type_: type, value: Any, *, folder: Path) -> Any:
    """Return the value of a threshold that TOML has no type for: a set of addresses, listed or in a file.

    A value that is a set already stays.

    Raises:
        ValueError: The file can't be read, or a line is neither an address nor a block.
    """
    if type_ is not AddressSet:
        raise NotImplementedError(f"Thresholds of type {type_}")
    if isinstance(value, AddressSet):
        return value
    return read_addresses(folder / value) if isinstance(value, str) else AddressSet(value)
