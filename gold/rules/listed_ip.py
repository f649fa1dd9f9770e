"""The rule listed_ip: a login or a probe from an address on a list of the user's."""

from __future__ import annotations

from typing import Annotated

import narwhals.stable.v2 as nw
import polars as pl
from msgspec import Meta

from gold.rules.addresses import AddressSet
from gold.rules.measures import FAILURES, PROBES, SUCCESSES, distinct
from gold.rules.model import Contexts, Rule
from gold.rules.sources import PANTHER


class ListedIp(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A login, a failed login or a probe from an address on a list of yours, such as a published blocklist.

    Without addresses, as shipped, the rule is off. In a file, # begins a comment. Each refresh reads the list when it
    starts; a changed list is a changed threshold.
    """

    name = "listed_ip"
    entity = "src_ip"
    select = nw.col("action").is_in(("login", "probe"))
    measures = (
        SUCCESSES.alias("successes"),
        FAILURES.alias("failures"),
        PROBES.alias("probes"),
        distinct("username").alias("users"),
    )
    sources = (f"{PANTHER}/greynoise_malicious_ip.yml",)
    false_alarms = "An address that has a new owner; a provider's address that many customers share."

    addresses: Annotated[
        AddressSet,
        Meta(description="Addresses and CIDR blocks, or a file beside `detections.toml` with one per line."),
    ]

    def reads(self) -> nw.Expr:
        """Return the mask of the rows that the rule reads: none while it has no addresses."""
        return super().reads() & nw.lit(value=bool(self.addresses))

    def looks_at(self, entity: str) -> bool:
        """Return whether the address is on the list, and not on the allow-list."""
        return entity in self.addresses and super().looks_at(entity)

    def find(self, events: Contexts) -> pl.Series:
        """Return true for all events: the runner passes only those of listed addresses."""
        return pl.repeat(True, len(events), eager=True)
