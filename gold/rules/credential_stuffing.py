"""The rule credential_stuffing: one or two guesses at each of many users from one address."""

from __future__ import annotations

from gold.rules.guesses import GuessRule
from gold.rules.sources import ELASTIC_OKTA


class CredentialStuffing(GuessRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One or two wrong passwords for each of many users from one address: pairs that leaked elsewhere."""

    name = "credential_stuffing"
    sources = (f"{ELASTIC_OKTA}/credential_access_okta_credential_stuffing_single_source.toml",)
    false_alarms = "An address that many users share, while the server that checks passwords is down."
