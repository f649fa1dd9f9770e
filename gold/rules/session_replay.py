"""The rule session_replay: a session is used by a second client or from a second country."""

from __future__ import annotations

from typing import Annotated

import narwhals.stable.v2 as nw
import polars as pl
from msgspec import Meta

from gold.rules.measures import OCCURRENCES, distinct
from gold.rules.model import Contexts, Rule
from gold.rules.sources import PANTHER_OKTA
from gold.rules.windows import sliding_values

# The family of the client software and its operating system; null if the family is unknown.
CLIENT = pl.concat_str("agent_family", pl.col("os_family").fill_null(""), separator="\n")


class SessionReplay(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The events of one session come from different clients or countries: its cookie or token may have been stolen.

    A client is a family of client software on an operating system; a new version of a browser is the same client. The
    source asks for another client in another network; networks are not known here, so that countries stand for them,
    and one difference suffices.
    """

    name = "session_replay"
    entity = "session_id"
    select = ~nw.col("session_id").is_null()
    differs_in = ("country", "agent_family", "os_family")
    measures = (
        OCCURRENCES.alias("events"),
        CLIENT.drop_nulls().n_unique().alias("clients"),
        distinct("country").alias("countries"),
        distinct("src_ip").alias("ips"),
        distinct("username").alias("users"),
    )
    sources = (f"{PANTHER_OKTA}/okta_potentially_stolen_session.py",)
    false_alarms = "A VPN that is turned on during a session; a browser that is set to act as another one."

    clients: Annotated[int, Meta(ge=2, description="Clients within the window, at least; or `countries`.")]
    countries: Annotated[int, Meta(ge=2, description="Countries within the window, at least; or `clients`.")]

    @property
    def min_occurrences(self) -> int:
        """The fewest events with which the rule can fire."""
        return 2

    def find(self, events: Contexts) -> pl.Series:
        """Return whether the window has enough clients or countries."""
        clients = sliding_values(events, CLIENT, window=self.window)
        countries = sliding_values(events, pl.col("country"), window=self.window)
        return (clients >= self.clients) | (countries >= self.countries)
