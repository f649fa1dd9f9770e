"""The rule session_replay: a session is used by a second client or from a second country."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Annotated

import narwhals.stable.v2 as nw
from msgspec import Meta

from gold.rules.model import Event, Rule
from gold.rules.sources import PANTHER_OKTA
from gold.rules.windows import sliding_tallies


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
    sources = (f"{PANTHER_OKTA}/okta_potentially_stolen_session.py",)
    false_alarms = "A VPN that is turned on during a session; a browser that is told to act as another one."

    clients: Annotated[int, Meta(ge=2, description="Clients within the window, at least; or `countries`.")]
    countries: Annotated[int, Meta(ge=2, description="Countries within the window, at least; or `clients`.")]

    @property
    def min_occurrences(self) -> int:
        """The fewest events with which the rule can fire."""
        return 2

    def find(self, events: Sequence[Event]) -> Iterator[Event]:
        """Yield the events with which the window has enough clients or countries."""
        clients = sliding_tallies(events, window=self.window, value=client_of)
        countries = sliding_tallies(events, window=self.window, value=attrgetter("country"))
        for event, of_clients, of_countries in zip(events, clients, countries, strict=True):
            if len(of_clients) >= self.clients or len(of_countries) >= self.countries:
                yield event

    def measures(self, evidence: Sequence[Event]) -> dict[str, int]:
        """Return the events, and their distinct clients, countries, addresses and users."""
        return {
            "events": sum(event.times for event in evidence),
            "clients": len({client_of(event) for event in evidence} - {None}),
            "countries": len({event.country for event in evidence} - {None}),
            "ips": len({event.src_ip for event in evidence} - {None}),
            "users": len({event.username for event in evidence} - {None}),
        }


def client_of(event: Event) -> tuple[str, str | None] | None:
    """Return the family of the client software and its operating system; null if the family is unknown."""
    return (event.agent_family, event.os_family) if event.agent_family else None
